"""Is everything in a work directory as it was written?"""
