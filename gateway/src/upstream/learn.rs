//! Asks an upstream over gRPC reflection which services it has and what their options say.
//! Must not know any domain package: whatever the descriptors say is what the gateway routes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use prost_types::FileDescriptorProto;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest as Ask;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse as Answer;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::Held;

/// How long the whole conversation may take.
const LEARN_TIMEOUT: Duration = Duration::from_secs(10);
/// More files than any contract of ours has; bounds what a broken upstream can make us fetch.
const MAX_FILES: usize = 2_000;
/// Services that each server has for itself: the gateway answers these, with what it aggregates.
const INFRASTRUCTURE: [&str; 3] = ["grpc.reflection.", "grpc.health.", "grpc.channelz."];

/// Why an upstream's contract could not be learned.
#[derive(Debug, Error)]
pub(crate) enum LearnError {
    /// The reflection call failed; its code tells why, its message stays out of our logs.
    #[error("reflection answered {0}")]
    Call(tonic::Code),
    /// The upstream answered something that is not an answer to the question.
    #[error("reflection gave no answer to {0}")]
    NoAnswer(&'static str),
    /// A file is not a descriptor.
    #[error("a descriptor could not be read")]
    Descriptor(#[from] prost::DecodeError),
    /// The upstream names more than [`MAX_FILES`] files.
    #[error("more than {MAX_FILES} files")]
    TooManyFiles,
    /// No answer within [`LEARN_TIMEOUT`].
    #[error("no answer within {} s", LEARN_TIMEOUT.as_secs())]
    Timeout,
}

impl From<tonic::Status> for LearnError {
    fn from(status: tonic::Status) -> Self {
        Self::Call(status.code())
    }
}

/// What an upstream said of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contract {
    /// Full service names, without those that every server has.
    pub(crate) services: BTreeSet<String>,
    /// File name → the encoded `FileDescriptorProto`, verbatim: decoding it with prost-types would
    /// drop the options that everything here is about.
    pub(crate) files: BTreeMap<String, Bytes>,
}

/// Learns the contract over `held`.
///
/// # Errors
/// See [`LearnError`]; nothing is learned by half.
pub(crate) async fn learn(held: Held) -> Result<Contract, LearnError> {
    tokio::time::timeout(LEARN_TIMEOUT, converse(held)).await.map_err(|_| LearnError::Timeout)?
}

async fn converse(held: Held) -> Result<Contract, LearnError> {
    let mut talk = Talk::begin(held).await?;
    let mut contract = Contract { services: talk.services().await?, ..Contract::default() };
    let mut wanted = BTreeSet::new();
    for service in &contract.services {
        for file in talk.files(Ask::FileContainingSymbol(service.clone())).await? {
            wanted.extend(take_file(file, &mut contract.files)?);
        }
    }
    while let Some(name) = wanted.pop_first() {
        if contract.files.contains_key(&name) {
            continue;
        }
        if contract.files.len() >= MAX_FILES {
            return Err(LearnError::TooManyFiles);
        }
        for file in talk.files(Ask::FileByFilename(name.clone())).await? {
            wanted.extend(take_file(file, &mut contract.files)?);
        }
        if !contract.files.contains_key(&name) {
            return Err(LearnError::NoAnswer("a file by its name"));
        }
    }
    Ok(contract)
}

/// Keeps the bytes and gives the names of the files that it imports.
fn take_file(bytes: Vec<u8>, files: &mut BTreeMap<String, Bytes>) -> Result<Vec<String>, LearnError> {
    let header = FileDescriptorProto::decode(bytes.as_slice())?;
    files.insert(header.name().to_owned(), bytes.into());
    Ok(header.dependency)
}

/// One reflection stream: a question, then its answer.
struct Talk {
    questions: mpsc::Sender<ServerReflectionRequest>,
    answers: Streaming<ServerReflectionResponse>,
}

impl Talk {
    async fn begin(held: Held) -> Result<Self, LearnError> {
        let (questions, stream) = mpsc::channel(1);
        let mut client = ServerReflectionClient::new(held);
        let answers = client.server_reflection_info(ReceiverStream::new(stream)).await?.into_inner();
        Ok(Self { questions, answers })
    }

    async fn services(&mut self) -> Result<BTreeSet<String>, LearnError> {
        let Answer::ListServicesResponse(list) = self.ask(Ask::ListServices(String::new())).await? else {
            return Err(LearnError::NoAnswer("the list of services"));
        };
        let names = list.service.into_iter().map(|service| service.name);
        Ok(names.filter(|name| !is_infrastructure(name)).collect())
    }

    async fn files(&mut self, ask: Ask) -> Result<Vec<Vec<u8>>, LearnError> {
        match self.ask(ask).await? {
            Answer::FileDescriptorResponse(files) => Ok(files.file_descriptor_proto),
            _ => Err(LearnError::NoAnswer("a file")),
        }
    }

    async fn ask(&mut self, ask: Ask) -> Result<Answer, LearnError> {
        let question = ServerReflectionRequest { host: String::new(), message_request: Some(ask) };
        // A closed stream shows in the answer below, with its status.
        let _ = self.questions.send(question).await;
        let answer = self.answers.message().await?.and_then(|answer| answer.message_response);
        answer.ok_or(LearnError::NoAnswer("any question"))
    }
}

fn is_infrastructure(service: &str) -> bool {
    INFRASTRUCTURE.iter().any(|prefix| service.starts_with(prefix))
}
