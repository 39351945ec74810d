//! A mesh of a test's own: an authority, an issuer, and callers whose answers are written down ([`crate::seen`]).
//! Servers started with its parts are the real ones: mutual TLS, tokens, every layer. Must not know any service.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use caremesh_kernel::SystemClock;
use caremesh_mesh::audit::AuditSink;
use caremesh_mesh::config::ServerConfig;
use caremesh_mesh::health::Probe;
use caremesh_mesh::identity::Identity;
use caremesh_mesh::server::{ServerParts, Transport};
use caremesh_mesh::tls::WorkloadIdentity;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};

use crate::identity::{TestAuthority, TestIssuer, TestPerson};
use crate::seen::{Caller, Recorded};

/// The workload through which people come in.
const EDGE: &str = "gateway";

/// A caller's way to one server: give it to a generated client, `PlanServiceClient::new(caller)`. A cheap clone.
pub type CallerChannel = InterceptedService<Recorded<Channel>, Bearer>;

/// Puts a person's token on each call; nothing when nobody is signed in.
#[derive(Debug, Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// An authority that signs workloads and an issuer that signs people in, both gone when dropped.
#[derive(Debug)]
pub struct TestMesh {
    /// Signs workloads.
    pub authority: TestAuthority,
    /// Signs people in.
    pub issuer: TestIssuer,
}

impl TestMesh {
    /// Starts both on free ports.
    ///
    /// # Errors
    /// When no port is free or no folder can be written.
    pub async fn start() -> anyhow::Result<Self> {
        Ok(Self { authority: TestAuthority::new()?, issuer: TestIssuer::start().await? })
    }

    /// The parts of a real server called `service`, on free ports.
    ///
    /// # Errors
    /// When the name is none that a service can have.
    pub fn server_parts(
        &self,
        service: &str,
        audit: Arc<dyn AuditSink>,
        probes: Vec<Arc<dyn Probe>>,
    ) -> anyhow::Result<ServerParts> {
        let identity = Identity::new(&self.issuer.config(), Arc::new(SystemClock))?;
        Ok(ServerParts {
            name: service.to_owned(),
            config: ServerConfig::default(),
            descriptor_set: caremesh_proto::FILE_DESCRIPTOR_SET,
            transport: Transport::MutualTls(self.authority.workload(service)?),
            authenticator: Arc::new(identity),
            audit,
            probes,
            metrics: Arc::new(String::new),
        })
    }

    /// A person signed in, who comes through the gateway.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn person(&self, server: &Server, person: &TestPerson) -> anyhow::Result<CallerChannel> {
        self.caller(server, EDGE, Caller::Nobody, Some(self.issuer.token(person)))
    }

    /// Whoever holds this token, good or bad, who comes through the gateway.
    ///
    /// # Errors
    /// When the token is no header value or TLS cannot be set up.
    pub fn bearer(&self, server: &Server, token: String) -> anyhow::Result<CallerChannel> {
        self.caller(server, EDGE, Caller::Nobody, Some(token))
    }

    /// Nobody in particular, who comes through the gateway.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn nobody(&self, server: &Server) -> anyhow::Result<CallerChannel> {
        self.caller(server, EDGE, Caller::Nobody, None)
    }

    /// Another service, on its own certificate.
    ///
    /// # Errors
    /// When the name is none that a service can have.
    pub fn service(&self, server: &Server, name: &str) -> anyhow::Result<CallerChannel> {
        self.caller(server, name, Caller::Service, None)
    }

    /// Another service that acts while a person waits: its certificate and the person's token.
    ///
    /// # Errors
    /// When the name is none that a service can have.
    pub fn on_behalf(
        &self,
        server: &Server,
        name: &str,
        person: &TestPerson,
    ) -> anyhow::Result<CallerChannel> {
        self.caller(server, name, Caller::Service, Some(self.issuer.token(person)))
    }

    fn caller(
        &self,
        server: &Server,
        workload: &str,
        kind: Caller,
        token: Option<String>,
    ) -> anyhow::Result<CallerChannel> {
        let channel = server.connect(&self.authority.workload(workload)?)?;
        let token = token.map(|token| format!("Bearer {token}").parse()).transpose();
        let token = token.context("the token is no header value")?;
        Ok(InterceptedService::new(Recorded::new(channel, kind), Bearer(token)))
    }
}

/// A server to be called: its name, as in its certificate, and where it listens.
#[derive(Debug, Clone)]
pub struct Server {
    /// `svc-policy`.
    pub name: String,
    /// Where gRPC is served.
    pub address: SocketAddr,
}

impl Server {
    /// A plain channel without any layer of ours: tests see what the server said, not what a client made of it.
    fn connect(&self, identity: &WorkloadIdentity) -> anyhow::Result<Channel> {
        let connector = TlsConnector::from(identity.client_config(&self.name)?);
        let address = self.address;
        // Who the server is, is proved by its certificate's SPIFFE id; the host name decides nothing.
        let host = ServerName::from(address.ip());
        let connect = tower::service_fn(move |_: Uri| {
            let (connector, host) = (connector.clone(), host.clone());
            async move {
                let stream = TcpStream::connect(address).await?;
                // As the mesh's own client does: else each small frame waits 40 ms for the answer to the one before.
                stream.set_nodelay(true)?;
                Ok::<_, std::io::Error>(TokioIo::new(connector.connect(host, stream).await?))
            }
        });
        let endpoint = Endpoint::from_shared(format!("https://{address}"))?;
        Ok(endpoint.connect_with_connector_lazy(connect))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{access_matrix_holds, every_rule_is_enforced, expect, methods_of};
    use caremesh_kernel::{PersonId, Uuid};
    use caremesh_mesh::accept::context_of;
    use caremesh_mesh::audit::{AuditUnavailable, Outcome};
    use caremesh_mesh::server::ServerBuilder;
    use caremesh_mesh::{CallContext, Lifecycle, Touched, accept};
    use caremesh_proto::policy::v1::audit_service_client::AuditServiceClient;
    use caremesh_proto::policy::v1::audit_service_server::{AuditService, AuditServiceServer};
    use caremesh_proto::policy::v1::{ListAccessRequest, ListAccessResponse};
    use futures::future::BoxFuture;
    use tonic::{Code, Response};

    /// Answers whoever the layers let in; looks at the request if told to.
    struct Doorman {
        looks: bool,
    }

    #[tonic::async_trait]
    impl AuditService for Doorman {
        async fn list_access(
            &self,
            request: Request<ListAccessRequest>,
        ) -> Result<Response<ListAccessResponse>, Status> {
            let context = if self.looks { accept(request)?.0 } else { context_of(&request)? };
            context.touched(Touched::read(None, "access".to_owned()));
            Ok(Response::new(ListAccessResponse::default()))
        }
    }

    async fn serve(mesh: &TestMesh, doorman: Doorman, life: &Lifecycle) -> Server {
        let parts = mesh.server_parts("svc-policy", Arc::new(NoTrail), Vec::new()).unwrap();
        let running = ServerBuilder::new(parts).add(AuditServiceServer::new(doorman)).start(life).await;
        Server { name: "svc-policy".to_owned(), address: running.unwrap().address }
    }

    struct NoTrail;

    impl AuditSink for NoTrail {
        fn record(
            &self,
            _: CallContext,
            _: Vec<Touched>,
            _: Outcome,
        ) -> BoxFuture<'static, Result<(), AuditUnavailable>> {
            Box::pin(async { Ok(()) })
        }
    }

    async fn ask(caller: CallerChannel) -> Code {
        let person_id = PersonId::from_uuid(Uuid::nil()).to_string();
        let asked = ListAccessRequest { person_id, ..ListAccessRequest::default() };
        let answer = AuditServiceClient::new(caller).list_access(asked).await;
        answer.map_or_else(|status| status.code(), |_| Code::Ok)
    }

    #[tokio::test]
    async fn each_kind_of_caller_meets_the_real_layers() {
        let mesh = TestMesh::start().await.unwrap();
        let life = Lifecycle::new();
        let server = serve(&mesh, Doorman { looks: true }, &life).await;
        let auditor = TestPerson::new("auditor", &["auditor"]);
        let courier = TestPerson::new("courier", &["courier"]);

        assert_eq!(ask(mesh.person(&server, &auditor).unwrap()).await, Code::Ok);
        assert_eq!(ask(mesh.person(&server, &courier).unwrap()).await, Code::PermissionDenied);
        assert_eq!(ask(mesh.nobody(&server).unwrap()).await, Code::Unauthenticated);
        assert_eq!(ask(mesh.bearer(&server, "forged".to_owned()).unwrap()).await, Code::Unauthenticated);
        // The method is for persons: a service that brings none has brought no credentials for it.
        assert_eq!(ask(mesh.service(&server, "svc-claims").unwrap()).await, Code::Unauthenticated);
        assert_eq!(ask(mesh.on_behalf(&server, "svc-claims", &auditor).unwrap()).await, Code::Ok);
        life.end_hard();
    }

    const SERVED: [&str; 1] = ["caremesh.policy.v1.AuditService"];

    #[tokio::test]
    async fn a_handler_that_does_not_look_at_its_request_is_found() {
        let mesh = TestMesh::start().await.unwrap();
        let life = Lifecycle::new();
        let server = serve(&mesh, Doorman { looks: true }, &life).await;
        assert_eq!(every_rule_is_enforced(&mesh, &server, &SERVED).await.unwrap(), 1);
        let server = serve(&mesh, Doorman { looks: false }, &life).await;
        let found = every_rule_is_enforced(&mesh, &server, &SERVED).await.unwrap_err();
        let expected = "/caremesh.policy.v1.AuditService/ListAccess: a broken `person_id` was accepted";
        assert_eq!(found.to_string(), expected);
        life.end_hard();
    }

    #[tokio::test]
    async fn the_access_matrix_holds_and_a_door_left_open_would_be_found() {
        let mesh = TestMesh::start().await.unwrap();
        let life = Lifecycle::new();
        let server = serve(&mesh, Doorman { looks: true }, &life).await;
        let roles_and_stranger_and_nobody = 14;
        assert_eq!(
            access_matrix_holds(&mesh, &server, &SERVED).await.unwrap(),
            roles_and_stranger_and_nobody
        );
        // The same answer against a contract that would keep the auditor out.
        let auditor = TestPerson::new("auditor", &["auditor"]);
        let method = &methods_of(&SERVED).unwrap()[0];
        let found = expect(method, "auditor", mesh.person(&server, &auditor).unwrap(), false).await;
        assert!(found.unwrap_err().to_string().contains("called by auditor: may is false"));
        life.end_hard();
    }
}
