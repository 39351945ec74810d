//! PlanService.

use caremesh_mesh::accept;
use caremesh_proto::policy::v1::plan_service_server::PlanService;
use caremesh_proto::policy::v1::{
    GetPlanVersionRequest, GetPlanVersionResponse, ListPlansRequest, ListPlansResponse,
};
use tonic::{Request, Response, Status};

use super::convert::plan as convert;
use super::{Door, error};
use crate::app::plans;
use crate::domain::plan::PlanVersion;

#[tonic::async_trait]
impl PlanService for Door {
    async fn list_plans(
        &self,
        request: Request<ListPlansRequest>,
    ) -> Result<Response<ListPlansResponse>, Status> {
        let (context, mut request) = accept(request)?;
        let asked = request.page.take();
        let (paging, page) = self.page::<String>(&context, &request, asked.as_ref())?;
        let size = page.size as usize;
        let mut found = plans::list(&self.app, &request.jurisdiction_code, page.after.as_deref(), size + 1);
        let more = found.len() > size;
        found.truncate(size);
        let next = found.last().filter(|_| more).map(|plan| plan.code.clone());
        let plans = found.iter().map(|plan| convert::plan(plan, self.zone(plan))).collect();
        Ok(Response::new(ListPlansResponse { plans, page: Some(self.next(&paging, next.as_ref())?) }))
    }

    async fn get_plan_version(
        &self,
        request: Request<GetPlanVersionRequest>,
    ) -> Result<Response<GetPlanVersionResponse>, Status> {
        let (context, request) = accept(request)?;
        let id =
            caremesh_mesh::wire::id("plan_version_id", &request.plan_version_id).map_err(error::violation)?;
        let found = plans::get(&self.app, id).map_err(|error| error::status(&context, error))?;
        let plan_version = Some(convert::plan_version(found, self.zone(found)));
        Ok(Response::new(GetPlanVersionResponse { plan_version }))
    }
}

impl Door {
    fn zone(&self, plan: &PlanVersion) -> &str {
        self.app.plans.jurisdiction(&plan.jurisdiction).map_or("", |law| law.zone.name())
    }
}
