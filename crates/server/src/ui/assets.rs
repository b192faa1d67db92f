//! Style and script, inside the binary, with addresses that change with their content.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::model::digest::Digest;

const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/script.js");
const MARK: &str = include_str!("assets/mark.svg");

/// Address of the style sheet.
pub static STYLE_PATH: LazyLock<String> = LazyLock::new(|| path("style.css", STYLE));
/// Address of the script.
pub static SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| path("script.js", SCRIPT));
/// Address of the mark.
pub static MARK_PATH: LazyLock<String> = LazyLock::new(|| path("mark.svg", MARK));

fn path(name: &str, content: &str) -> String {
    format!("/assets/{name}?v={}", Digest::of(content.as_bytes()).short(8))
}

/// Serves one of them; browsers may keep it for good.
pub async fn serve(Path(name): Path<String>) -> Response {
    let (kind, content) = match name.as_str() {
        "style.css" => ("text/css; charset=utf-8", STYLE),
        "script.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "mark.svg" => ("image/svg+xml", MARK),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")], content).into_response()
}
