//! The process in Consul's register: a stub stands for the agent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use super::service::{PATIENCE, Service};

/// A request to the agent: its first line, the token, and its body.
#[derive(Debug, PartialEq)]
struct Asked {
    line: String,
    token: String,
    body: Value,
}

/// An agent that takes everything, and what it was asked.
fn agent() -> (SocketAddr, Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, (asked, heard)) = (listener.local_addr().unwrap(), channel());
    thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(request) = answer(connection.unwrap()) else { continue };
            if asked.send(request).is_err() {
                return;
            }
        }
    });
    (address, heard)
}

fn answer(connection: TcpStream) -> std::io::Result<Asked> {
    let mut connection = BufReader::new(connection);
    let (mut line, mut token, mut length) = (String::new(), String::new(), 0);
    connection.read_line(&mut line)?;
    loop {
        let mut header = String::new();
        connection.read_line(&mut header)?;
        match header.trim().split_once(": ") {
            None => break,
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap_or_default(),
            Some((name, value)) if name.eq_ignore_ascii_case("x-consul-token") => value.clone_into(&mut token),
            Some(_) => {}
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    connection.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    Ok(Asked { line: line.trim().to_owned(), token, body: serde_json::from_slice(&body).unwrap_or_default() })
}

#[test]
fn the_process_is_registered_with_a_check_that_passes_and_takes_itself_back_when_it_ends() {
    let (address, heard) = agent();
    let data = TempDir::new().unwrap();
    let environment = [("CONSUL_HTTP_ADDR", &*address.to_string()), ("CONSUL_HTTP_TOKEN", "hush")];
    let service = Service::start_in(data.path(), &["--memory"], &environment);
    let asked = heard.recv_timeout(PATIENCE).unwrap();
    assert_eq!((asked.line.as_str(), asked.token.as_str()), ("PUT /v1/agent/service/register HTTP/1.1", "hush"));
    let told = asked.body;
    assert_eq!((told["Name"].as_str(), told["Address"].as_str()), (Some("event_service"), Some("127.0.0.1")));
    assert_eq!(told["Port"].to_string(), service.port());
    assert_eq!(told["Check"]["HTTP"], format!("http://{}/health", service.address));
    assert_eq!(service.get("/health")["status"], "healthy");
    let meta = told["Meta"].as_object().unwrap();
    assert!(meta.len() <= 64 && meta.values().all(|value| value.as_str().unwrap().len() <= 512), "what Consul keeps: {meta:?}");
    let routes: Vec<&str> = meta.iter().filter(|(name, _)| name.starts_with("routes_")).filter_map(|(_, value)| value.as_str()).collect();
    for path in ["/api/v1/events/create", "/webhooks/rudderstack", "/v1/batch"] {
        assert!(routes.iter().any(|part| part.split(',').any(|route| route == path)), "{path}: {routes:?}");
    }
    service.interrupt();
    let (_, complaints, exit) = service.wait();
    assert_eq!((exit.code(), complaints.as_str()), (Some(0), ""));
    let gone = heard.recv_timeout(PATIENCE).unwrap();
    let id = told["ID"].as_str().unwrap();
    assert_eq!((gone.line, gone.token), (format!("PUT /v1/agent/service/deregister/{id} HTTP/1.1"), "hush".to_owned()));
}

#[test]
fn without_an_agent_the_service_runs_as_ever_and_says_once_that_it_is_not_registered() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let data = TempDir::new().unwrap();
    let service = Service::start_in(data.path(), &["--memory"], &[("CONSUL_HTTP_ADDR", &nobody.to_string())]);
    assert_eq!(service.get("/health")["status"], "healthy");
    service.interrupt();
    let (_, complaints, exit) = service.wait();
    assert_eq!(exit.code(), Some(0));
    assert_eq!(complaints.matches("the service is not registered").count(), 1, "{complaints}");
}
