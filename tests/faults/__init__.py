"""Each step of a call goes wrong once, in each way that its door can."""
