//! The service `LLBBridge`: a client's gateway, which says what is to be built.
//!
//! The client calls `Solve` and gets a promise, and gives that back by `Return`; only then the build is done, by the
//! call of `Control.Solve` that waits for it. Promises that are given up cost nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{oneshot, watch};
use tonic::{Code, Request, Status};

use super::connection::{Build, Connection};
use super::proto::control;
use super::proto::gateway::{Outcome, PongResponse, Ref, Refs, ReturnRequest, SolveRequest, SolveResponse};
use super::proto::types::{ApiCap, RpcStatus};
use super::{control as service, solve};

/// Names the build that a call is about.
const BUILD_ID: &str = "buildkit-controlapi-buildid";

/// The most promises of one build.
const MOST: usize = 64;

/// What a gateway can rely on.
const FRONTEND_CAPS: [&str; 6] =
    ["solve.base", "return", "returnmap", "proto.refarray", "importcaches", "gateway.solve.metadata"];

/// What builds can rely on: several outputs. Clients look here before they ask for attestations, which are missing.
const BUILD_CAPS: [&str; 3] =
    ["exporter.multiple", "source.local.followpaths", "source.local.excludepatterns"];

/// What a gateway has asked for so far.
pub(super) struct Gateway {
    promised: Mutex<HashMap<String, SolveRequest>>,
    /// The call that waits for the gateway.
    served: watch::Sender<Option<Arc<control::SolveRequest>>>,
    returned: Mutex<Option<oneshot::Sender<Returned>>>,
    waiting: Mutex<Option<oneshot::Receiver<Returned>>>,
}

/// What a gateway ends in: what is to be built, if anything is.
pub(super) type Returned = Result<Option<SolveRequest>, Status>;

impl Default for Gateway {
    fn default() -> Self {
        let (sender, receiver) = oneshot::channel();
        Self {
            promised: Mutex::default(),
            served: watch::Sender::default(),
            returned: Mutex::new(Some(sender)),
            waiting: Mutex::new(Some(receiver)),
        }
    }
}

impl Gateway {
    /// Lets the client's gateway begin.
    pub(super) fn serve(&self, request: &control::SolveRequest) {
        self.served.send_replace(Some(Arc::new(request.clone())));
    }

    /// Waits until the client's gateway is done.
    ///
    /// # Errors
    /// Why it failed; another call waits already.
    pub(super) async fn returned(&self) -> Returned {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let waiting = waiting.ok_or_else(|| Status::already_exists("the build was asked for before"))?;
        waiting.await.unwrap_or_else(|_| Err(Status::cancelled("context canceled")))
    }
}

/// `Ping`.
pub(super) async fn ping(connection: Arc<Connection>) -> Result<PongResponse, Status> {
    let caps =
        |names: &[&str]| names.iter().map(|id| ApiCap { id: (*id).to_owned(), enabled: true }).collect();
    Ok(PongResponse {
        frontend_api_caps: caps(&FRONTEND_CAPS),
        llb_caps: caps(&BUILD_CAPS),
        workers: service::list_workers(connection).await?.record,
    })
}

/// `Solve`: promises a result, or answers a question about the Dockerfile.
pub(super) async fn solve(
    connection: Arc<Connection>,
    request: Request<SolveRequest>,
) -> Result<SolveResponse, Status> {
    let build = build(&connection, &request)?;
    let request = request.into_inner();
    solve::check(&request)?;
    if request.frontend_opt.contains_key("requestid") {
        let mut served = build.gateway.served.subscribe();
        let served = served.wait_for(Option::is_some).await.map(|served| served.clone());
        let Ok(Some(served)) = served else { return Err(Status::cancelled("context canceled")) };
        let metadata = solve::answer(connection, build, &served, &request).await?;
        return Ok(SolveResponse { result: Some(Outcome { result: None, metadata }) });
    }
    let mut promised = build.gateway.promised.lock().unwrap_or_else(PoisonError::into_inner);
    if promised.len() >= MOST {
        return Err(Status::resource_exhausted("too many results of one build"));
    }
    let id = promised.len().to_string();
    promised.insert(id.clone(), request);
    let result = Outcome { result: Some(Refs::One(Ref { id })), metadata: HashMap::new() };
    Ok(SolveResponse { result: Some(result) })
}

/// `Return`: the gateway is done.
pub(super) async fn give_back(
    connection: Arc<Connection>,
    request: Request<ReturnRequest>,
) -> Result<(), Status> {
    let build = build(&connection, &request)?;
    let ReturnRequest { result, error } = request.into_inner();
    let returned = match error {
        Some(error) => Err(status(&error)),
        None => chosen(&build, result),
    };
    let sender = build.gateway.returned.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(sender) = sender {
        // Nobody waits for a build that was cancelled.
        let _ = sender.send(returned);
    }
    Ok(())
}

/// The promise that a result consists of.
fn chosen(build: &Build, result: Option<Outcome>) -> Returned {
    let id = match result.and_then(|result| result.result) {
        None => return Ok(None),
        Some(Refs::One(one)) => one.id,
        Some(Refs::Many(many)) if many.refs.len() <= 1 => {
            many.refs.into_values().next().unwrap_or_default().id
        }
        Some(Refs::Many(_)) => {
            return Err(Status::unimplemented("results of several builds are not supported"));
        }
    };
    if id.is_empty() {
        return Ok(None);
    }
    let mut promised = build.gateway.promised.lock().unwrap_or_else(PoisonError::into_inner);
    let request = promised.remove(&id);
    request.map(Some).ok_or_else(|| Status::not_found(format!("return reference {id} not found")))
}

fn build<T>(connection: &Connection, request: &Request<T>) -> Result<Arc<Build>, Status> {
    let id = request.metadata().get(BUILD_ID).and_then(|id| id.to_str().ok());
    connection.build(id.ok_or_else(|| Status::invalid_argument("no buildid found in context"))?)
}

fn status(error: &RpcStatus) -> Status {
    use prost::Message;
    let details = error.encode_to_vec().into();
    Status::with_details(Code::from_i32(error.code), error.message.clone(), details)
}
