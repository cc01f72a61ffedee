//! The port through which controllers learn by whom clients are to know the API server.

use api_types::TenantId;
use tokio::sync::broadcast;

/// Knows the certificate authorities of the installation and of its planes. Implemented by the API server.
pub trait Authorities: Send + Sync + 'static {
    /// The authorities that clients are to believe when the API server shows its certificate, PEM.
    fn serving(&self) -> String;

    /// The planes whose authorities change from now on. A change of the host plane's may be one of
    /// [`Authorities::serving`]. Whoever is too far behind is told so, and looks at all planes.
    fn changes(&self) -> broadcast::Receiver<TenantId>;
}
