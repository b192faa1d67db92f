//! Gates: what tells whether the nodes of a ring do their work.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use domain::model::id::OperationId;
use domain::model::rollout::Gate;
use serde_json::Value;

use crate::feeds::deepest;

/// How long a gate may take to answer.
const PATIENCE: Duration = Duration::from_mins(1);
/// Most of an answer that is read or shown.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
const WORDS_LENGTH_MAX: usize = 300;

/// Whether a gate is open, and what it showed. One that does not answer is shut.
pub async fn ask(gate: &Gate, folder: &Path, id: &OperationId, ring: &str) -> (bool, String) {
    let asked = async {
        match gate {
            Gate::Hook { name } => run(&folder.join(name), id, ring).await,
            Gate::Http { url } => probe(url).await,
            Gate::Prometheus { url, query } => ask_prometheus(url, query).await,
        }
    };
    let (is_open, words) = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(failure)) => (false, failure),
        Err(_) => (false, format!("no answer within {} s", PATIENCE.as_secs())),
    };
    (is_open, words.chars().filter(|c| !c.is_control()).take(WORDS_LENGTH_MAX).collect())
}

async fn run(program: &Path, id: &OperationId, ring: &str) -> Result<(bool, String), String> {
    let mut command = tokio::process::Command::new(program);
    command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("FETTLE_OPERATION", id.as_str()).env("FETTLE_RING", ring);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let output = command.output().await.map_err(|error| format!("the program `{name}` cannot be run: {error}"))?;
    let said = String::from_utf8_lossy(if output.stdout.is_empty() { &output.stderr } else { &output.stdout }).trim().to_owned();
    let code = output.status.code().map_or_else(|| "by a signal".to_owned(), |code| format!("with {code}"));
    Ok((output.status.success(), format!("`{name}` ended {code}{}{said}", if said.is_empty() { "" } else { ": " })))
}

async fn get(url: reqwest::Url) -> Result<(reqwest::StatusCode, Vec<u8>), String> {
    let shown = url.to_string();
    let client = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build().map_err(|error| error.to_string())?;
    let mut answer = client.get(url).send().await.map_err(|error| format!("{shown} does not answer: {}", deepest(&error)))?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| format!("{shown} broke off: {}", deepest(&error)))? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(format!("{shown} answers with more than {ANSWER_BYTES_MAX} bytes"));
        }
    }
    Ok((answer.status(), body))
}

async fn probe(url: &str) -> Result<(bool, String), String> {
    let (status, _) = get(url.parse().map_err(|_| format!("{url} is no address"))?).await?;
    Ok((status.is_success(), format!("{url} answered {status}")))
}

async fn ask_prometheus(url: &str, query: &str) -> Result<(bool, String), String> {
    let mut address: reqwest::Url = format!("{}/api/v1/query", url.trim_end_matches('/')).parse().map_err(|_| format!("{url} is no address"))?;
    address.query_pairs_mut().append_pair("query", query);
    let (status, body) = get(address).await?;
    if !status.is_success() {
        return Ok((false, format!("{url} answered {status}")));
    }
    judge_prometheus(&body, query)
}

/// Every value of the answer has to be other than 0, and there has to be one.
fn judge_prometheus(body: &[u8], query: &str) -> Result<(bool, String), String> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| "the answer is not Prometheus's".to_owned())?;
    let data = &answer["data"];
    let values: Vec<&Value> = match data["resultType"].as_str() {
        Some("scalar") => vec![&data["result"][1]],
        Some("vector") => data["result"].as_array().into_iter().flatten().map(|row| &row["value"][1]).collect(),
        _ => return Err("the answer is neither a scalar nor a vector".to_owned()),
    };
    let values: Vec<f64> = values.into_iter().map(|value| value.as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)).collect();
    let n_bad = values.iter().filter(|value| **value == 0.0 || value.is_nan()).count();
    let words = match (values.len(), n_bad) {
        (0, _) => format!("`{query}` has no results"),
        (n, 0) => format!("`{query}` holds for all {n} results"),
        (n, n_bad) => format!("`{query}` is 0 for {n_bad} of {n} results"),
    };
    Ok((!values.is_empty() && n_bad == 0, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_counts_and_none_is_no_good_sign() {
        let judge = |result: &str| judge_prometheus(format!(r#"{{"status":"success","data":{result}}}"#).as_bytes(), "up");
        assert_eq!(judge(r#"{"resultType":"vector","result":[{"value":[1,"1"]},{"value":[1,"2"]}]}"#), Ok((true, "`up` holds for all 2 results".into())));
        assert_eq!(judge(r#"{"resultType":"vector","result":[{"value":[1,"1"]},{"value":[1,"0"]}]}"#), Ok((false, "`up` is 0 for 1 of 2 results".into())));
        assert_eq!(judge(r#"{"resultType":"vector","result":[]}"#), Ok((false, "`up` has no results".into())));
        assert_eq!(judge(r#"{"resultType":"scalar","result":[1,"1"]}"#), Ok((true, "`up` holds for all 1 results".into())));
        assert!(judge(r#"{"resultType":"matrix","result":[]}"#).is_err() && judge_prometheus(b"<html>", "up").is_err());
    }

    #[tokio::test]
    async fn a_program_and_an_address_that_are_not_there_shut_the_gate() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let mut ids = domain::model::id::IdSource::seeded(1);
        let id = OperationId::create(&mut ids, domain::model::time::Timestamp::from_millis(0));
        let (is_open, words) = ask(&Gate::Hook { name: "missing".into() }, folder.path(), &id, "canary").await;
        assert!(!is_open && words.starts_with("the program `missing` cannot be run"), "{words}");
        let (is_open, words) = ask(&Gate::Http { url: "http://127.0.0.1:9/health".into() }, folder.path(), &id, "canary").await;
        assert!(!is_open && words.contains("does not answer"), "{words}");
    }
}
