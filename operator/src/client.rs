//! The connections to the API server. Those that are dead and do not say so end.

use kube::{Client, Config};
use std::time::Duration;

/// How long one may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one may say nothing after something was asked. An API server tells each watch once a minute that it is there, with a bookmark.
/// When its node is lost or its address moves, nothing else ends what was open: kube alone would wait for five minutes.
const SILENCE: Duration = Duration::from_secs(90);

/// To the API server of the Pod's cluster, or of the user's kubeconfig.
pub async fn connect() -> Result<Client, kube::Error> {
    let config = Config::infer().await.map_err(kube::Error::InferConfig)?;
    Client::try_from(watchful(config, SILENCE))
}

fn watchful(mut config: Config, silence: Duration) -> Config {
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(silence);
    // Else the time that a connection was idle would count, too.
    config.reset_reader_on_write = true;
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt as _;
    use k8s_openapi::api::core::v1::Node;
    use kube::Api;
    use kube::api::WatchParams;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";

    /// An API server that answers a watch with its head, and then is lost without a word.
    async fn lost() -> (Config, tokio::task::JoinHandle<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4096];
            assert!(socket.read(&mut asked).await.unwrap() > 0);
            socket.write_all(HEAD).await.unwrap();
            socket
        });
        (Config::new(url.parse().unwrap()), server)
    }

    #[tokio::test]
    async fn a_watch_whose_server_is_lost_without_a_word_ends() {
        let (config, server) = lost().await;
        let client = Client::try_from(watchful(config, Duration::from_millis(300))).unwrap();
        let nodes: Api<Node> = Api::all(client);
        let watch = nodes.watch(&WatchParams::default(), "1").await.unwrap();
        let _open = server.await.unwrap();
        let end = timeout(Duration::from_secs(10), Box::pin(watch).next()).await;
        assert!(!matches!(end.unwrap(), Some(Ok(_))));
    }
}
