//! Reflection gives the contract back with its options, to operators and the gateway only.

use caremesh_mesh::ContractPolicy;
use caremesh_mesh::policy::AuditClass;
use prost::Message as _;
use prost_reflect::DescriptorPool;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};
use tonic_reflection::pb::{v1, v1alpha};

use super::world::World;

const SERVICE: &str = "caremesh.probe.v1.ProbeService";

/// Every file that v1 gives for the service and what it imports, decoded with prost-reflect.
async fn files_over_v1(world: &World, role: &str) -> Result<DescriptorPool, Status> {
    let mut pool = DescriptorPool::new();
    let mut wanted =
        vec![v1::server_reflection_request::MessageRequest::FileContainingSymbol(SERVICE.to_owned())];
    let mut files: Vec<Vec<u8>> = Vec::new();
    while let Some(message) = wanted.pop() {
        let v1::server_reflection_response::MessageResponse::FileDescriptorResponse(answer) =
            ask_v1(world, role, message).await?
        else {
            return Err(Status::not_found("no file"));
        };
        for file in answer.file_descriptor_proto {
            let head = prost_types::FileDescriptorProto::decode(file.as_slice()).expect("a file");
            let named = head.dependency.into_iter();
            wanted.extend(named.map(v1::server_reflection_request::MessageRequest::FileByFilename));
            files.push(file);
        }
    }
    for file in files.iter().rev() {
        pool.decode_file_descriptor_proto(file.as_slice()).expect("its imports are there");
    }
    Ok(pool)
}

async fn ask_v1(
    world: &World,
    role: &str,
    message: v1::server_reflection_request::MessageRequest,
) -> Result<v1::server_reflection_response::MessageResponse, Status> {
    let request = v1::ServerReflectionRequest { host: String::new(), message_request: Some(message) };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel(world).await);
    let mut answers =
        client.server_reflection_info(as_role(tokio_stream::once(request), role)).await?.into_inner();
    let answer = answers.message().await?.expect("an answer");
    Ok(answer.message_response.expect("a response"))
}

fn as_role<T>(message: T, role: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("test-role", MetadataValue::try_from(role).expect("a value"));
    request
}

async fn channel(world: &World) -> tonic::transport::Channel {
    let address = format!("http://{}", world.running.address);
    tonic::transport::Endpoint::from_shared(address).expect("an address").connect().await.expect("connected")
}

#[tokio::test]
async fn an_option_is_read_back_over_reflection() {
    let world = World::new().await;
    let pool = files_over_v1(&world, "OPERATOR").await.expect("an operator may look");
    let contract = ContractPolicy::from_pool(&pool).expect("nothing of the contract was lost");
    let method = contract.method("/caremesh.probe.v1.ProbeService/AskHealth").expect("the method");
    assert_eq!(method.audit, AuditClass::Health);
    assert_eq!(method.deadline, std::time::Duration::from_secs(1));
}

#[tokio::test]
async fn reflection_is_kept_from_everybody_else() {
    let world = World::new().await;
    let refused = files_over_v1(&world, "MEMBER").await.expect_err("kept out");
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
}

#[tokio::test]
async fn both_names_of_reflection_list_what_is_served() {
    let world = World::new().await;
    let listed = ask_v1(
        &world,
        "OPERATOR",
        v1::server_reflection_request::MessageRequest::ListServices(String::new()),
    );
    let v1::server_reflection_response::MessageResponse::ListServicesResponse(listed) =
        listed.await.expect("an answer")
    else {
        panic!("no list");
    };
    assert!(listed.service.iter().any(|service| service.name == SERVICE));

    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
    };
    let mut old = v1alpha::server_reflection_client::ServerReflectionClient::new(channel(&world).await);
    let answers = old.server_reflection_info(as_role(tokio_stream::once(request), "OPERATOR")).await;
    let answer = answers.expect("v1alpha is there").into_inner().message().await.expect("in time");
    assert!(format!("{answer:?}").contains(SERVICE));
}
