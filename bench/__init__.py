"""The benchmark: gigq under gigqd and its peers, doing the same work in the same run."""
