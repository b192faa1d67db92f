//! Baselines.

use api::page::Page;
use api::v1::baseline::{Baseline, BaselineDetail};
use axum::Json;
use axum::extract::Path;
use domain::decide::select;
use domain::model::baseline::NamedBaseline;

use crate::actions::{Caller, baselines};
use crate::http::ApiError;

/// Every baseline.
#[utoipa::path(get, path = "/baselines", operation_id = "list_baselines", tag = "baselines", responses((status = 200, body = Page<Baseline>), (status = "default", body = api::error::Problem)))]
pub async fn list(caller: Caller) -> Json<Page<Baseline>> {
    Json(Page { items: baselines::list(&caller).iter().map(baseline).collect(), next_cursor: None })
}

/// One baseline.
#[utoipa::path(get, path = "/baselines/{id}", operation_id = "get_baseline", tag = "baselines", params(("id", description = "baseline id")), responses((status = 200, body = BaselineDetail), (status = "default", body = api::error::Problem)))]
pub async fn show(caller: Caller, Path(id): Path<String>) -> Result<Json<BaselineDetail>, ApiError> {
    let named = baselines::find(&caller, &id)?;
    let document = serde_json::to_value(&named.baseline).expect("a baseline has text keys only");
    Ok(Json(BaselineDetail { baseline: baseline(&named), explanation: select::explain(&named.baseline), document }))
}

fn baseline(named: &NamedBaseline) -> Baseline {
    Baseline {
        id: named.id.to_string(),
        name: named.baseline.name.clone(),
        description: named.baseline.description.clone(),
        operating_system: named.baseline.operating_system.code().to_owned(),
        predefined: named.predefined,
    }
}
