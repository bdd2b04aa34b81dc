"""The supervisor: its loop, pools, slots and children."""
