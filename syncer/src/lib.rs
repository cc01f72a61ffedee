//! Desired state down to super clusters, observed state up, and the patrol of both.
