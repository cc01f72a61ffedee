//! Open Application Model: applications rendered into a plan, the plan into objects.
