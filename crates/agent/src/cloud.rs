//! Tags that follow from where a machine runs, as its cloud's metadata service says. It is asked
//! only where the firmware names that cloud, so that other networks see no strange requests.

use std::collections::BTreeMap;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);
/// The address of the metadata service in AWS, Azure and Google Cloud.
const SERVICE: &str = "http://169.254.169.254";

/// Tags of this machine.
pub async fn find_tags() -> BTreeMap<String, String> {
    let vendor = std::fs::read_to_string("/sys/class/dmi/id/sys_vendor").unwrap_or_default();
    ask(vendor.trim(), SERVICE).await
}

/// Asks the metadata service of the vendor's cloud.
async fn ask(vendor: &str, service: &str) -> BTreeMap<String, String> {
    let Ok(http) = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build() else { return BTreeMap::new() };
    match vendor {
        "Amazon EC2" => ask_aws(&http, service).await,
        "Google" => ask_google(&http, service).await,
        "Microsoft Corporation" => ask_azure(&http, service).await,
        _ => BTreeMap::new(),
    }
}

async fn ask_aws(http: &reqwest::Client, service: &str) -> BTreeMap<String, String> {
    let token = text(http.put(format!("{service}/latest/api/token")).header("X-aws-ec2-metadata-token-ttl-seconds", "60")).await.unwrap_or_default();
    let mut tags = tag("cloud", Some("aws".to_owned()));
    for (key, path) in [("cloud-region", "placement/region"), ("cloud-zone", "placement/availability-zone"), ("instance-type", "instance-type"), ("instance-id", "instance-id")] {
        let request = http.get(format!("{service}/latest/meta-data/{path}")).header("X-aws-ec2-metadata-token", &token);
        tags.extend(tag(key, text(request).await));
    }
    tags
}

async fn ask_google(http: &reqwest::Client, service: &str) -> BTreeMap<String, String> {
    let mut tags = tag("cloud", Some("gcp".to_owned()));
    for (key, path) in [("cloud-zone", "zone"), ("instance-type", "machine-type"), ("instance-id", "id")] {
        let request = http.get(format!("{service}/computeMetadata/v1/instance/{path}")).header("Metadata-Flavor", "Google");
        // Zones and types come as `projects/1/zones/europe-west1-b`.
        tags.extend(tag(key, text(request).await.and_then(|value| value.rsplit('/').next().map(str::to_owned))));
    }
    tags
}

async fn ask_azure(http: &reqwest::Client, service: &str) -> BTreeMap<String, String> {
    let request = http.get(format!("{service}/metadata/instance/compute?api-version=2021-02-01")).header("Metadata", "true");
    let document: serde_json::Value = text(request).await.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let mut tags = tag("cloud", Some("azure".to_owned()));
    for (key, field) in [("cloud-region", "location"), ("cloud-zone", "zone"), ("instance-type", "vmSize"), ("instance-id", "vmId")] {
        tags.extend(tag(key, document[field].as_str().map(str::to_owned)));
    }
    tags
}

fn tag(key: &str, value: Option<String>) -> BTreeMap<String, String> {
    value.filter(|value| !value.is_empty() && value.len() <= 128 && !value.contains(char::is_control)).map(|value| (key.to_owned(), value)).into_iter().collect()
}

async fn text(request: reqwest::RequestBuilder) -> Option<String> {
    request.send().await.ok()?.error_for_status().ok()?.text().await.ok()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers each request by its path, as the metadata service of AWS does. No cloud is here to ask.
    fn fake_service() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = [0; 2048];
                let length = stream.read(&mut request).unwrap();
                let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
                let body = match request.split_whitespace().nth(1).unwrap() {
                    "/latest/api/token" => "secret",
                    "/latest/meta-data/placement/region" if request.contains("x-aws-ec2-metadata-token: secret") => "eu-central-1",
                    "/latest/meta-data/instance-type" => "t3.micro",
                    _ => "",
                };
                let status = if body.is_empty() { "404 Not Found" } else { "200 OK" };
                write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn a_cloud_is_asked_only_where_the_firmware_names_it() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let service = fake_service();
        let tags = ask("Amazon EC2", &service).await;
        assert_eq!(tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>(), ["cloud=aws", "cloud-region=eu-central-1", "instance-type=t3.micro"]);
        assert_eq!(ask("QEMU", &service).await, BTreeMap::new());
    }
}
