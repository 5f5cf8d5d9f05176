"""Grade answers: a grader for each kind, worker processes, and the stage verify."""
