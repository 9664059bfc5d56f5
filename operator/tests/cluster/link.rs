//! A way to the API server that can be cut.

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::server::Server;

/// Forwards connections until it is cut. Then nothing arrives at either end and nothing is refused, as when a cable is
/// pulled; what was under way is lost.
pub struct Link {
    /// Address of the API server by this way.
    pub url: String,
    whole: watch::Sender<bool>,
    forwarder: JoinHandle<()>,
}

impl Link {
    /// A way to this server.
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

    /// Lets nothing through any more.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Lets new connections through; the old ones are broken.
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
        // Held until then, so that neither end notices.
        let _ = whole.wait_for(|whole| *whole).await;
    } else {
        let _ = whole.wait_for(|whole| *whole).await;
    }
}
