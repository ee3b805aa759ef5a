//! A client of the engine: calls it by `/grpc`.

use std::{collections::HashMap, path::Path};

use http::uri::PathAndQuery;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    task::JoinHandle,
};
use tonic::{Request, Status, body::Body, client::Grpc};

use crate::proto::{
    Exporter, GatewayRequest, GatewayResponse, Prost, Return, SolveRequest, SolveResponse, StatusRequest,
    StatusResponse,
};

/// Asks for an upgrade of a connection and gets it.
pub(crate) async fn upgrade(socket: &Path, path: &str, headers: &str) -> UnixStream {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101") && answer.contains("Upgrade: h2c"), "{answer}");
    stream
}

/// A connection.
#[derive(Clone)]
pub(crate) struct Client(http2::SendRequest<Body>);

impl Client {
    pub(crate) async fn connect(socket: &Path) -> Self {
        let stream = upgrade(socket, "/grpc", "").await;
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// Calls a method that has one answer.
    pub(crate) async fn call<Q, R>(&self, method: &'static str, request: Request<Q>) -> Result<R, Status>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = self.grpc();
        grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static(method);
        Ok(grpc.unary(request, path, Prost::<Q, R>::default()).await?.into_inner())
    }

    /// Follows a build to its end: names of vertices with their errors, and output.
    pub(crate) fn follow(&self, reference: &str) -> JoinHandle<(HashMap<String, String>, String)> {
        let mut grpc = self.grpc();
        let request = Request::new(StatusRequest { reference: reference.to_owned() });
        tokio::spawn(async move {
            grpc.ready().await.unwrap();
            let path = PathAndQuery::from_static("/moby.buildkit.v1.Control/Status");
            let news = grpc.server_streaming(request, path, Prost::<_, StatusResponse>::default()).await;
            let mut news = news.unwrap().into_inner();
            let (mut vertices, mut output) = (HashMap::new(), String::new());
            while let Some(news) = news.message().await.unwrap() {
                for vertex in news.vertexes.into_iter().filter(|vertex| vertex.completed.is_some()) {
                    assert!(vertex.digest.starts_with("sha256:"), "{}", vertex.digest);
                    vertices.insert(vertex.name, vertex.error);
                }
                for log in news.logs {
                    output.push_str(&String::from_utf8_lossy(&log.text));
                }
            }
            (vertices, output)
        })
    }

    /// Builds as a client's gateway does.
    pub(crate) async fn build(
        &self,
        reference: &str,
        session: &str,
        options: &[(&str, &str)],
        exporter: (&str, &[(&str, &str)]),
    ) -> Result<HashMap<String, String>, Status> {
        let map = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let request = SolveRequest {
            reference: reference.to_owned(),
            session: session.to_owned(),
            exporters: vec![Exporter { kind: exporter.0.to_owned(), attrs: map(exporter.1) }],
            ..SolveRequest::default()
        };
        let solved = self.call::<_, SolveResponse>("/moby.buildkit.v1.Control/Solve", Request::new(request));
        let asked = GatewayRequest { frontend: "dockerfile.v0".to_owned(), options: map(options) };
        let gateway = async {
            let promise: GatewayResponse =
                self.call("/moby.buildkit.v1.frontend.LLBBridge/Solve", about(reference, asked)).await?;
            let back = about(reference, Return { result: promise.result });
            self.call::<_, ()>("/moby.buildkit.v1.frontend.LLBBridge/Return", back).await
        };
        let (solved, promised) = tokio::join!(solved, gateway);
        promised?;
        Ok(solved?.exporter)
    }

    fn grpc(
        &self,
    ) -> Grpc<
        impl tonic::client::GrpcService<
            Body,
            ResponseBody = hyper::body::Incoming,
            Error: std::fmt::Debug,
            Future: Send,
        > + Send
        + use<>,
    > {
        let sender = self.0.clone();
        let service = tower::service_fn(move |request| sender.clone().send_request(request));
        Grpc::with_origin(service, http::Uri::from_static("http://engine"))
    }
}

/// A call about a build.
fn about<T>(reference: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("buildkit-controlapi-buildid", reference.parse().unwrap());
    request
}
