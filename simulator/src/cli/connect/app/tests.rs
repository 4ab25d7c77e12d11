use futures::future::join;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, empty};
use tokio::net::TcpStream;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::*;

/// Far longer than any of these tests takes: a test that hangs must fail.
const PATIENCE: Duration = Duration::from_secs(30);

type Accepted = WebSocketStream<TcpStream>;

/// A real server on loopback that does only what the test tells it.
struct Server {
    listener: TcpListener,
}

impl Server {
    async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn options(&self) -> Options {
        let url = format!("ws://{}/ws", self.listener.local_addr().unwrap());
        Options { heartbeat: Duration::ZERO, reconnect: false, ..Options::new(url) }
    }

    async fn accept(&self) -> Accepted {
        accept_async(self.listener.accept().await.unwrap().0).await.unwrap()
    }

    async fn answer_with(&self, response: &str) {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(response.as_bytes()).await.unwrap();
    }
}

/// An address that refuses for as long as the socket lives: it is bound, so that no other socket gets its port, and it
/// does not listen.
fn refusing() -> (TcpSocket, Options) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("ws://{}/ws", socket.local_addr().unwrap());
    (socket, Options { reconnect: false, ..Options::new(url) })
}

async fn text_from(client: &mut Accepted) -> String {
    client.next().await.unwrap().unwrap().into_text().unwrap().to_string()
}

/// Closes, waits for the answer and hangs up.
async fn close(mut client: Accepted, code: u16, reason: &str) {
    client.close(Some(CloseFrame { code: code.into(), reason: reason.into() })).await.unwrap();
    while client.next().await.is_some() {}
}

/// Reads to the end of the connection: the code of the client's Close.
async fn close_code_from(client: &mut Accepted) -> Option<u16> {
    let mut code = None;
    while let Some(Ok(message)) = client.next().await {
        if let Message::Close(frame) = message {
            code = frame.map(|frame| frame.code.into());
        }
    }
    code
}

async fn echo_all(client: &mut Accepted) {
    while let Some(Ok(message)) = client.next().await {
        if let Message::Text(text) = message {
            client.send(format!("Server received: {text}").into()).await.unwrap();
        }
    }
}

/// Runs the client against `server`, which gets the other end of the client's keyboard. Returns the printed text.
async fn play<F: Future>(
    options: Options,
    server: impl FnOnce(DuplexStream) -> F,
) -> (Result<(), ConnectError>, String) {
    let (keyboard, input) = duplex(1 << 16);
    let mut output = Vec::new();
    let both = join(run(options, input, &mut output), server(keyboard));
    let (result, _) = timeout(PATIENCE, both).await.expect("the client is to end in time");
    (result, String::from_utf8(output).unwrap())
}

/// The printed lines after the help at the start, without the times.
fn texts(output: &str) -> Vec<&str> {
    let mut texts = output.lines().map(|line| &line["00:00:00.000  ".len()..]);
    let help = "* type on or off for the switch, quit to leave; any other line is sent";
    assert_eq!(texts.next(), Some(help));
    texts.collect()
}

#[tokio::test]
async fn the_client_sends_a_greeting_and_prints_the_answer_with_its_time() {
    let server = Server::start().await;
    let (result, output) = play(server.options(), |_keyboard| async {
        let mut client = server.accept().await;
        assert_eq!(text_from(&mut client).await, "Hello, Server!");
        client.send("Server received: Hello, Server!".into()).await.unwrap();
        close(client, 1001, "the server is shutting down").await;
    })
    .await;
    result.unwrap();
    let expected = [
        "* connected",
        "Server received: Hello, Server!",
        "* closed by the server: 1001 the server is shutting down",
    ];
    assert_eq!(texts(&output), expected);
    for line in output.lines() {
        let shape: String = line[..14].chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "00:00:00.000  ");
    }
}

#[tokio::test]
async fn the_switch_sends_commands_and_other_lines_are_sent_unchanged() {
    let server = Server::start().await;
    let (result, _) = play(server.options(), |mut keyboard| async move {
        let mut client = server.accept().await;
        keyboard.write_all("off\non\r\n on \n\n你好\nquit\n".as_bytes()).await.unwrap();
        for expected in ["Hello, Server!", "unsubscribe", "subscribe", " on ", "", "你好"] {
            assert_eq!(text_from(&mut client).await, expected);
        }
        assert_eq!(close_code_from(&mut client).await, Some(1000));
    })
    .await;
    result.unwrap();
}

#[tokio::test]
async fn a_user_who_leaves_still_sees_the_messages_on_their_way() {
    let server = Server::start().await;
    let (result, output) = play(server.options(), |mut keyboard| async move {
        keyboard.write_all(b"last words\nquit\n").await.unwrap();
        echo_all(&mut server.accept().await).await;
    })
    .await;
    result.unwrap();
    let expected =
        ["* connected", "Server received: Hello, Server!", "Server received: last words", "* closed"];
    assert_eq!(texts(&output), expected);
}

#[tokio::test]
async fn after_a_reconnect_a_client_whose_switch_is_off_unsubscribes_before_its_greeting() {
    let server = Server::start().await;
    let options = Options { reconnect: true, ..server.options() };
    let (result, output) = play(options, |mut keyboard| async move {
        let mut client = server.accept().await;
        assert_eq!(text_from(&mut client).await, "Hello, Server!");
        // The typed command sets the switch as `off` does.
        keyboard.write_all(b"unsubscribe\n").await.unwrap();
        assert_eq!(text_from(&mut client).await, "unsubscribe");
        close(client, 1001, "").await;

        let mut client = server.accept().await;
        assert_eq!(text_from(&mut client).await, "unsubscribe");
        assert_eq!(text_from(&mut client).await, "Hello, Server!");
        keyboard.write_all(b"on\n").await.unwrap();
        assert_eq!(text_from(&mut client).await, "subscribe");
        drop(client);

        let mut client = server.accept().await;
        assert_eq!(text_from(&mut client).await, "Hello, Server!");
        keyboard.write_all(b"quit\n").await.unwrap();
        assert_eq!(close_code_from(&mut client).await, Some(1000));
    })
    .await;
    result.unwrap();
    let printed = texts(&output);
    assert_eq!(printed.iter().filter(|text| **text == "* connected").count(), 3, "{printed:#?}");
    assert!(printed[1].starts_with("* closed by the server: 1001, reconnecting in 0."), "{printed:#?}");
    assert!(printed[3].starts_with("* connection lost"), "{printed:#?}");
}

#[tokio::test]
async fn the_client_still_prints_after_the_end_of_its_input() {
    let server = Server::start().await;
    let mut output = Vec::new();
    let serving = async {
        let mut client = server.accept().await;
        assert_eq!(text_from(&mut client).await, "Hello, Server!");
        client.send("Server push message at 2026-11-22 12:00:00".into()).await.unwrap();
        client.send(Message::Binary(vec![1, 2, 3].into())).await.unwrap();
        close(client, 1001, "").await;
    };
    let (result, ()) =
        timeout(PATIENCE, join(run(server.options(), empty(), &mut output), serving)).await.unwrap();
    result.unwrap();
    let output = String::from_utf8(output).unwrap();
    assert_eq!(texts(&output)[1..3], ["Server push message at 2026-11-22 12:00:00", "(3 bytes of binary)"]);
}

#[tokio::test]
async fn heartbeats_come_from_a_timer() {
    let server = Server::start().await;
    let options = Options { heartbeat: Duration::from_millis(500), ..server.options() };
    let (result, _) = play(options, |mut keyboard| async move {
        let mut client = server.accept().await;
        for expected in ["Hello, Server!", "Heartbeat", "Heartbeat"] {
            let text = text_from(&mut client).await;
            assert_eq!(text, expected);
            client.send(format!("Server received: {text}").into()).await.unwrap();
        }
        keyboard.write_all(b"quit\n").await.unwrap();
        assert_eq!(close_code_from(&mut client).await, Some(1000));
    })
    .await;
    result.unwrap();
}

#[tokio::test]
async fn the_client_drops_a_server_that_is_silent_between_two_heartbeats() {
    let server = Server::start().await;
    let options = Options { heartbeat: Duration::from_millis(50), ..server.options() };
    let (result, output) = play(options, |_keyboard| async move {
        let mut client = server.accept().await;
        assert_eq!(text_from(&mut client).await, "Hello, Server!");
        assert_eq!(close_code_from(&mut client).await, None);
    })
    .await;
    result.unwrap();
    assert_eq!(texts(&output)[1], "* no sign of life from the server since the last heartbeat");
}

#[tokio::test]
async fn a_flood_of_lines_causes_no_deadlock_with_a_server_that_answers_before_it_reads_on() {
    // 1,000 lines of 16 KiB are far more than the socket buffers of both directions hold.
    let server = Server::start().await;
    let line = "x".repeat(16 * 1024);
    let (result, output) = play(server.options(), |mut keyboard| async move {
        let typing = async {
            for _ in 0..1_000 {
                keyboard.write_all(format!("{line}\n").as_bytes()).await.unwrap();
            }
            keyboard.write_all(b"quit\n").await.unwrap();
        };
        let mut client = server.accept().await;
        join(typing, echo_all(&mut client)).await;
    })
    .await;
    result.unwrap();
    assert_eq!(texts(&output).iter().filter(|text| text.ends_with("xxxx")).count(), 1_000);
}

#[tokio::test]
async fn control_characters_from_a_server_do_not_reach_the_terminal() {
    let server = Server::start().await;
    let (result, output) = play(server.options(), |_keyboard| async {
        let mut client = server.accept().await;
        client.send("a\n00:00:00.000  * connected\u{1b}[2J".into()).await.unwrap();
        close(client, 4000, "b\n").await;
    })
    .await;
    result.unwrap();
    let printed = texts(&output);
    assert_eq!(printed[1], "a\\n00:00:00.000  * connected\\u{1b}[2J");
    assert_eq!(printed[2], "* closed by the server: 4000 b\\n");
}

#[tokio::test]
async fn a_line_that_is_not_utf_8_is_not_sent() {
    let server = Server::start().await;
    let (result, output) = play(server.options(), |mut keyboard| async move {
        let mut client = server.accept().await;
        keyboard.write_all(b"\xff\nquit\n").await.unwrap();
        assert_eq!(text_from(&mut client).await, "Hello, Server!");
        assert_eq!(close_code_from(&mut client).await, Some(1000));
    })
    .await;
    result.unwrap();
    assert_eq!(texts(&output)[1], "* not sent, because it is not UTF-8");
}

#[tokio::test]
async fn a_url_that_cannot_work_is_refused_with_a_sentence() {
    for (url, cause) in [
        ("http://127.0.0.1:1/ws", "it must begin with ws:// or wss://"),
        ("127.0.0.1:1/ws", "it must begin with ws:// or wss://"),
        ("", "it must begin with ws:// or wss://"),
        ("ws://", "it does not parse: "),
        ("ws:///ws", "it does not parse: "),
        ("ws://127.0.0.1:99999/", "its port is not a number up to 65535"),
        ("ws://[::1]:/", "its port is not a number up to 65535"),
        ("ws://a b/", "it does not parse: "),
    ] {
        let running = run(Options::new(url), empty(), Vec::new());
        let error = timeout(PATIENCE, running).await.expect(url).unwrap_err();
        assert!(matches!(error, ConnectError::Url { .. }), "{url}: {error:?}");
        let sentence = error.to_string();
        assert!(sentence.starts_with(&format!("cannot use the URL {url:?}: ")), "{sentence}");
        assert!(sentence.contains(cause), "{sentence}");
    }
}

#[tokio::test]
async fn without_reconnect_a_refused_connection_is_an_error() {
    let (_socket, options) = refusing();
    let running = run(options.clone(), empty(), Vec::new());
    let error = timeout(PATIENCE, running).await.unwrap().unwrap_err();
    let sentence = error.to_string();
    assert!(sentence.starts_with(&format!("could not connect to {}: Connection refused", options.url)));
}

#[tokio::test]
async fn without_reconnect_a_refused_handshake_is_an_error_with_the_servers_sentence() {
    let server = Server::start().await;
    let options = server.options();
    let refusing = server.answer_with("HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nNothing here.\n");
    let both = join(run(options.clone(), empty(), Vec::new()), refusing);
    let (result, ()) = timeout(PATIENCE, both).await.unwrap();
    let expected =
        format!("could not connect to {}: the server answered 404 Not Found: Nothing here.", options.url);
    assert_eq!(result.unwrap_err().to_string(), expected);
}

#[tokio::test]
async fn between_two_attempts_the_client_obeys_the_switch_and_quit_and_refuses_texts() {
    let (_socket, options) = refusing();
    let options = Options { reconnect: true, ..options };
    // A wait may be as short as zero, so the client may read the lines in the second or third pause.
    let (result, output) = play(options, |mut keyboard| async move {
        keyboard.write_all(b"off\non\nhello\nquit\n").await.unwrap();
    })
    .await;
    result.unwrap();
    let printed: Vec<_> =
        texts(&output).into_iter().filter(|text| !text.contains("reconnecting in")).collect();
    let expected =
        ["* off, once connected", "* on, once connected", "* not sent, because there is no connection"];
    assert_eq!(printed, expected);
}
