//! Writes down what a test saw, one line an answer: method, kind of caller, code, reason. `xtask api-coverage
//! --seen` then names each declared refusal that no test has seen. Must not change a call in any way.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic_types::StatusExt as _;
use tower::Service;

/// Who makes the calls of a channel when no token of a person goes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A workload, by its certificate.
    Service,
    /// Nobody that the server knows.
    Nobody,
}

/// Wraps a client's channel: `PlanServiceClient::new(Recorded::new(channel, Caller::Service))`.
///
/// Writes to a file of this process in the folder `CAREMESH_SEEN_DIR`; does nothing where that is not set.
#[derive(Debug, Clone)]
pub struct Recorded<S> {
    inner: S,
    caller: Caller,
    file: Option<Arc<SeenFile>>,
}

impl<S> Recorded<S> {
    /// Wraps `inner`. A call with an `authorization` header is a person's, any other is `caller`'s.
    #[expect(clippy::disallowed_methods, reason = "the test command tells its processes where to write")]
    pub fn new(inner: S, caller: Caller) -> Self {
        let folder = std::env::var_os("CAREMESH_SEEN_DIR");
        Self { inner, caller, file: folder.map(|folder| Arc::new(SeenFile::in_folder(Path::new(&folder)))) }
    }

    fn kind_of_caller(&self, headers: &HeaderMap) -> &'static str {
        match self.caller {
            _ if headers.contains_key(AUTHORIZATION) => "person",
            Caller::Service => "service",
            Caller::Nobody => "nobody",
        }
    }
}

impl<S> Service<Request<Body>> for Recorded<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(file) = self.file.clone() else { return Box::pin(self.inner.call(request)) };
        let method = request.uri().path().trim_start_matches('/').to_owned();
        let call = Call { method, caller: self.kind_of_caller(request.headers()), file };
        let answer = self.inner.call(request);
        Box::pin(async move { Ok(call.watch(answer.await?)) })
    }
}

/// One call whose end is still to come.
struct Call {
    method: String,
    caller: &'static str,
    file: Arc<SeenFile>,
}

impl Call {
    /// An error that came before any message stands in the headers; everything else ends with trailers.
    fn watch(self, response: Response<Body>) -> Response<Body> {
        if let Some(status) = Status::from_header_map(response.headers()) {
            self.write(&status);
            return response;
        }
        response.map(|body| Body::new(Watched { body, call: Some(self) }))
    }

    fn write(&self, status: &Status) {
        let info = status.get_details_error_info();
        let reason = info.map(|info| info.reason).unwrap_or_default();
        let code = code_name(status.code());
        self.file.append(&format!("{}\t{}\t{code}\t{reason}\n", self.method, self.caller));
    }
}

/// The code as the contract writes it, `NOT_FOUND`.
fn code_name(code: tonic::Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() && code != tonic::Code::Ok {
            name.push('_');
        }
        name.extend(letter.to_uppercase());
    }
    name
}

/// A response body whose trailers are written down as they pass.
struct Watched {
    body: Body,
    call: Option<Call>,
}

impl http_body::Body for Watched {
    type Data = <Body as http_body::Body>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let ended = match &frame {
            Some(Ok(frame)) => frame.trailers_ref().and_then(Status::from_header_map),
            Some(Err(status)) => Some(status.clone()),
            None => None,
        };
        if let Some((status, call)) = ended.zip(self.call.take_if(|_| frame_ends(frame.as_ref()))) {
            call.write(&status);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether nothing but the end follows: trailers, or an error.
fn frame_ends<D>(frame: Option<&Result<Frame<D>, Status>>) -> bool {
    frame.is_some_and(|frame| frame.as_ref().map_or(true, Frame::is_trailers))
}

/// The file of this process; lines are whole because each is one write.
#[derive(Debug)]
struct SeenFile {
    path: PathBuf,
    lock: Mutex<()>,
}

impl SeenFile {
    fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join(format!("{}.tsv", std::process::id())), lock: Mutex::new(()) }
    }

    fn append(&self, line: &str) {
        let _one_at_a_time = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let file = OpenOptions::new().create(true).append(true).open(&self.path);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        assert!(written.is_ok(), "cannot write {}: {written:?}", self.path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use tonic::Code;
    use tonic_types::ErrorDetails;

    /// What a recorded call leaves in the file when the server answers with this.
    async fn line_for(answer: Response<Body>, authorization: Option<&str>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = Arc::new(SeenFile::in_folder(folder.path()));
        let mut answers = Some(answer);
        let inner = tower::service_fn(move |_: Request<Body>| {
            let answer = answers.take().unwrap();
            async move { Ok::<_, std::convert::Infallible>(answer) }
        });
        let mut recorded = Recorded { inner, caller: Caller::Service, file: Some(file.clone()) };
        let mut request =
            Request::builder().uri("https://localhost/caremesh.policy.v1.PlanService/ListPlans");
        if let Some(token) = authorization {
            request = request.header(AUTHORIZATION, token);
        }
        let answer = recorded.call(request.body(Body::empty()).unwrap()).await.unwrap();
        answer.into_body().collect().await.unwrap();
        std::fs::read_to_string(&file.path).unwrap()
    }

    fn not_found() -> Status {
        let details = ErrorDetails::with_error_info("RESOURCE_NOT_FOUND", "policy.caremesh", []);
        Status::with_error_details(Code::NotFound, "The resource was not found.", details)
    }

    #[tokio::test]
    async fn an_error_in_the_headers_is_written_with_its_reason() {
        let line = line_for(not_found().into_http(), None).await;
        assert_eq!(
            line,
            "caremesh.policy.v1.PlanService/ListPlans\tservice\tNOT_FOUND\tRESOURCE_NOT_FOUND\n"
        );
    }

    #[tokio::test]
    async fn a_success_in_the_trailers_is_written_as_a_person_s() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        let body = http_body_util::Full::from("frame").with_trailers(async move { Some(Ok(trailers)) });
        let line = line_for(Response::new(Body::new(body)), Some("Bearer t")).await;
        assert_eq!(line, "caremesh.policy.v1.PlanService/ListPlans\tperson\tOK\t\n");
    }

    #[test]
    fn codes_are_written_as_in_the_contract() {
        assert_eq!(code_name(Code::FailedPrecondition), "FAILED_PRECONDITION");
        assert_eq!(code_name(Code::Ok), "OK");
        assert_eq!(code_name(Code::Unauthenticated), "UNAUTHENTICATED");
    }
}
