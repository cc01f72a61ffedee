//! What kube-controller-manager, the scheduler and the kubelets of the embedded super cluster do, for all planes at once.
