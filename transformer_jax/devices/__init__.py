"""The machine: mesh, sharding, processes, data sheets."""
