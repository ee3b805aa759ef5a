//! A client's session: the engine calls it for files and secrets.

use std::{convert::Infallible, path::Path, sync::Arc};

use futures_util::{StreamExt, stream::BoxStream};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{sync::mpsc, task::JoinHandle};
use tonic::{Request, Response, Status, Streaming, body::Body, server::Grpc};

use crate::{
    client::upgrade,
    proto::{Name, Packet, Prost, Stat},
};

/// What the client has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    /// Everything in its folder: paths, and contents of those that are files. Folders end in `/`.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// A secret, by any name.
    pub(crate) secret: Option<String>,
}

impl Files {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
        Self { files: files.collect(), secret: None }
    }
}

/// Opens a session; aborting it breaks the connection.
pub(crate) async fn open(socket: &Path, id: &str, files: Files) -> JoinHandle<()> {
    let mut headers = format!("X-Docker-Expose-Session-Uuid: {id}\r\n");
    for method in ["/moby.filesync.v1.FileSync/DiffCopy", "/moby.buildkit.secrets.v1.Secrets/GetSecret"] {
        headers.push_str(&format!("X-Docker-Expose-Session-Grpc-Method: {method}\r\n"));
    }
    let stream = upgrade(socket, "/session", &headers).await;
    let files = Arc::new(files);
    let service = service_fn(move |request| {
        let files = files.clone();
        async move { Ok::<_, Infallible>(answer(files, request).await) }
    });
    tokio::spawn(async move {
        let served = http2::Builder::new(TokioExecutor::new());
        // How it ends is the engine's affair.
        let _ = served.serve_connection(TokioIo::new(stream), service).await;
    })
}

async fn answer(files: Arc<Files>, request: http::Request<Incoming>) -> http::Response<Body> {
    match request.uri().path() {
        "/moby.filesync.v1.FileSync/DiffCopy" => {
            let service = tower::service_fn(|request| diff_copy(files.clone(), request));
            Grpc::new(Prost::default()).streaming(service, request).await
        }
        "/moby.buildkit.secrets.v1.Secrets/GetSecret" => {
            let service = tower::service_fn(|_: Request<Name>| {
                let secret = files.secret.clone().ok_or_else(|| Status::not_found("no such secret"));
                async { Ok::<_, Status>(Response::new(Name { name: secret? })) }
            });
            Grpc::new(Prost::default()).unary(service, request).await
        }
        path => panic!("the client is asked for {path}"),
    }
}

type Packets = BoxStream<'static, Result<Packet, Status>>;

/// Lists, then sends what is asked for.
async fn diff_copy(
    files: Arc<Files>,
    request: Request<Streaming<Packet>>,
) -> Result<Response<Packets>, Status> {
    let values = |name: &str| -> Vec<String> {
        request.metadata().get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    let (follow, exclude) = (values("followpaths"), values("exclude-patterns"));
    let wanted = move |path: &str| {
        let path = path.trim_end_matches('/');
        (follow.is_empty() || follow.iter().any(|known| known == path))
            && !exclude.iter().any(|known| known == path)
    };
    let listed: Vec<_> = files.files.iter().filter(|(path, _)| wanted(path)).cloned().collect();
    let mut asked = request.into_inner();
    let (packets, outgoing) = mpsc::channel(4);
    tokio::spawn(async move {
        for (path, contents) in &listed {
            let folder = path.ends_with('/');
            let stat = Stat {
                path: path.strip_suffix('/').unwrap_or(path).to_owned(),
                mode: if folder { 1 << 31 | 0o755 } else { 0o644 },
                size: i64::try_from(contents.len()).unwrap(),
                mod_time: 1_700_000_000_000_000_000,
                link: String::new(),
            };
            let _ = packets.send(Ok(Packet { stat: Some(stat), ..Packet::default() })).await;
        }
        let _ = packets.send(Ok(Packet::default())).await;
        while let Ok(Some(packet)) = asked.message().await {
            match packet.kind {
                1 => {
                    let contents = &listed[packet.id as usize].1;
                    for data in contents.chunks(3.max(contents.len() / 4)).chain([&[][..]]) {
                        let data = data.to_vec();
                        let _ = packets.send(Ok(Packet { kind: 2, id: packet.id, data, stat: None })).await;
                    }
                }
                3 => {
                    let _ = packets.send(Ok(Packet { kind: 3, ..Packet::default() })).await;
                    return;
                }
                kind => panic!("the client is sent a packet of kind {kind}"),
            }
        }
    });
    let packets = futures_util::stream::unfold(outgoing, |mut outgoing| async move {
        let packet = outgoing.recv().await?;
        Some((packet, outgoing))
    });
    Ok(Response::new(packets.boxed()))
}
