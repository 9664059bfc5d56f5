//! A network path to the API server that can be cut.

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::server::Server;

/// Forwards connections until it is cut. Then nothing arrives at either end and nothing is refused, as with a pulled
/// cable; what was in transit is lost.
pub struct Link {
    /// Address of the API server through this link.
    pub url: String,
    whole: watch::Sender<bool>,
    forwarder: JoinHandle<()>,
}

impl Link {
    /// Opens a link to this server.
    pub async fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let target = server.url.strip_prefix("https://").unwrap().to_owned();
        let (whole, state) = watch::channel(true);
        let forwarder = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(forward(client, target.clone(), state.clone()));
            }
        });
        Self {
            url,
            whole,
            forwarder,
        }
    }

    /// Drops everything from now on.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Forwards new connections again; the old ones are broken.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.forwarder.abort();
    }
}

async fn forward(mut client: TcpStream, target: String, mut whole: watch::Receiver<bool>) {
    if *whole.borrow_and_update() {
        let mut server = TcpStream::connect(target).await.unwrap();
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => return,
            _ = whole.wait_for(|whole| !whole) => {}
        }
        // Both ends stay open until then, so that neither notices.
        let _ = whole.wait_for(|whole| *whole).await;
    } else {
        let _ = whole.wait_for(|whole| *whole).await;
    }
}
