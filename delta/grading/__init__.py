"""Right, wrong or ungradable: a grader for each kind of answer, and the stage verify."""
