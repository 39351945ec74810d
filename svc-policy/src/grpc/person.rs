//! PersonService.

use caremesh_mesh::{accept, wire};
use caremesh_proto::policy::v1::person_service_server::PersonService;
use caremesh_proto::policy::v1::{
    CreatePersonRequest, CreatePersonResponse, GetPersonRequest, GetPersonResponse, UpdatePersonRequest,
    UpdatePersonResponse,
};
use tonic::{Request, Response, Status};

use super::convert::person as convert;
use super::{Door, error};
use crate::app::{Error, Once, create_person, get_person, update_person};

#[tonic::async_trait]
impl PersonService for Door {
    async fn create_person(
        &self,
        request: Request<CreatePersonRequest>,
    ) -> Result<Response<CreatePersonResponse>, Status> {
        let (context, request) = accept(request)?;
        let profile = convert::profile_of(request.profile.clone()).map_err(error::violation)?;
        let input = create_person::Input { profile, managed: request.managed };
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |person| CreatePersonResponse { person: Some(convert::person(person)) },
        };
        let answer = create_person::run(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn get_person(
        &self,
        request: Request<GetPersonRequest>,
    ) -> Result<Response<GetPersonResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("person_id", &request.person_id).map_err(error::violation)?;
        let person =
            get_person::run(&self.app, &context, id).await.map_err(|error| error::status(&context, error))?;
        Ok(Response::new(GetPersonResponse { person: Some(convert::person(&person)) }))
    }

    async fn update_person(
        &self,
        request: Request<UpdatePersonRequest>,
    ) -> Result<Response<UpdatePersonResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("person_id", &request.person_id).map_err(error::violation)?;
        let fields = convert::fields_of(request.update_mask.clone()).map_err(error::violation)?;
        let version = convert::version_of(&request.etag);
        let given = request.profile.clone();
        // The contract's rules hold for the profile as it will be: what the mask does not name is not in the request.
        let mut broken = None;
        let complete = |stored: &crate::domain::person::Profile| {
            let whole = convert::masked(given, stored, &fields);
            let profile = accept::validate(&whole)
                .map_err(Status::from)
                .and_then(|()| convert::profile_of(Some(whole)).map_err(error::violation));
            let profile = profile.map_err(|status| {
                broken = Some(status);
                Error::Field { field: "profile".to_owned(), rule: "profile" }
            })?;
            Ok(update_person::Input { id, version, profile, fields })
        };
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |person| UpdatePersonResponse { person: Some(convert::person(person)) },
        };
        let answer = update_person::run(&self.app, &context, once, id, complete).await;
        answer.map(Response::new).map_err(|error| broken.unwrap_or_else(|| error::status(&context, error)))
    }
}
