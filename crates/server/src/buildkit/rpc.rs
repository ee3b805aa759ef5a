//! Serving calls: a connection that was upgraded from HTTP/1 to HTTP/2, and which function answers which method.

use std::convert::Infallible;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::BoxStream;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use prost::Message;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Request, Response, Status};

use super::codec::Prost;
use super::connection::Connection;
use super::{control, gateway, solve, tunnel};

/// The most calls that a client may have under way.
const MOST_STREAMS: u32 = 256;

/// What a streaming method answers.
pub(super) type Messages<R> = BoxStream<'static, Result<R, Status>>;

/// Serves a client to the end of its connection. With it end the builds that it asked for.
pub(super) async fn serve<I>(io: I, connection: Arc<Connection>)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let connection = connection.clone();
        async move { Ok::<_, Infallible>(answer(connection, request).await) }
    });
    let served = http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(MOST_STREAMS)
        .serve_connection(io, service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of a BuildKit client ended early");
    }
}

async fn answer(connection: Arc<Connection>, request: http::Request<Incoming>) -> http::Response<Body> {
    let path = request.uri().path().to_owned();
    tracing::debug!(path, "called");
    let c = connection;
    let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
        return Status::unimplemented(format!("malformed method name: {path:?}")).into_http();
    };
    match (service, method) {
        ("moby.buildkit.v1.Control", "Info") => unary(request, |_: Request<()>| control::info(c)).await,
        ("moby.buildkit.v1.Control", "ListWorkers") => {
            unary(request, |_: Request<()>| control::list_workers(c)).await
        }
        ("moby.buildkit.v1.Control", "DiskUsage") => unary(request, |r| control::disk_usage(c, r)).await,
        ("moby.buildkit.v1.Control", "Prune") => streaming(request, |r| control::prune(c, r)).await,
        ("moby.buildkit.v1.Control", "Solve") => unary(request, |r| solve::solve(c, r)).await,
        ("moby.buildkit.v1.Control", "Session") => {
            let service = tower::service_fn(|request| tunnel::open(c.clone(), request));
            Grpc::new(Prost::default()).streaming(service, request).await
        }
        ("moby.buildkit.v1.Control", "Status") => streaming(request, |r| control::status(c, r)).await,
        ("moby.buildkit.v1.frontend.LLBBridge", "Ping") => {
            unary(request, |_: Request<()>| gateway::ping(c)).await
        }
        ("moby.buildkit.v1.frontend.LLBBridge", "Solve") => unary(request, |r| gateway::solve(c, r)).await,
        ("moby.buildkit.v1.frontend.LLBBridge", "Return") => {
            unary(request, |r| gateway::give_back(c, r)).await
        }
        _ => Status::unimplemented(format!("unknown method {method} for service {service}")).into_http(),
    }
}

async fn unary<Q, R, F>(
    request: http::Request<Incoming>,
    handler: impl FnOnce(Request<Q>) -> F + Send,
) -> http::Response<Body>
where
    Q: Message + Default + 'static,
    R: Message + 'static,
    F: Future<Output = Result<R, Status>> + Send,
{
    let mut handler = Some(handler);
    let service = tower::service_fn(|request| once(handler.take(), request));
    Grpc::new(Prost::<R, Q>::default()).unary(service, request).await
}

async fn streaming<Q, R, S, F>(
    request: http::Request<Incoming>,
    handler: impl FnOnce(Request<Q>) -> F + Send,
) -> http::Response<Body>
where
    Q: Message + Default + 'static,
    R: Message + 'static,
    S: Stream<Item = Result<R, Status>> + Send + 'static,
    F: Future<Output = Result<S, Status>> + Send,
{
    let mut handler = Some(handler);
    let service = tower::service_fn(|request| once(handler.take(), request));
    Grpc::new(Prost::<R, Q>::default()).server_streaming(service, request).await
}

/// Has a handler answer, which the library takes for a service with any number of calls.
fn once<Q, A, F>(
    handler: Option<impl FnOnce(Request<Q>) -> F>,
    request: Request<Q>,
) -> impl Future<Output = Result<Response<A>, Status>>
where
    F: Future<Output = Result<A, Status>>,
{
    let answer = handler.map(|handler| handler(request));
    async move {
        match answer {
            Some(answer) => answer.await.map(Response::new),
            None => Err(Status::internal("a call is answered once")),
        }
    }
}
