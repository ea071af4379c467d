"""What an update costs: measured here, or planned for TPUs that are not attached."""
