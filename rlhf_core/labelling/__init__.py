"""People in the loop: the store of their answers, the server, the pages, and the clips they see."""
