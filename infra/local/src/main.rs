//! Starts the local platform: `cargo run`.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use artisan_local::cli::{Cli, banner, environment_file, one_line, overrides};
use artisan_local::demo::DemoError;
use artisan_local::first_start::FirstStartError;
use artisan_local::ports::{Listeners, PortError};
use artisan_local::template::{Template, TemplateError};
use artisan_local::{Data, Options, Platform, PlatformError, demo, first_start, server, shutdown};
use axum::Router;
use axum::routing::get;
use clap::Parser;
use clock::Clock;
use telemetry::Format;
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What has not finished by then is cut off; queues are rebuilt at the next start.
const GRACE: Duration = Duration::from_millis(4500);

#[derive(Debug, thiserror::Error)]
enum StartupError {
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("the asynchronous runtime cannot be started")]
    Runtime(#[source] std::io::Error),
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Platform(#[from] PlatformError),
    #[error(transparent)]
    FirstStart(#[from] FirstStartError),
    #[error(transparent)]
    Demo(#[from] DemoError),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = std::env::var("LOG_LEVEL");
    telemetry::init(Format::Text, level.as_deref().unwrap_or("warn"));
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(StartupError::Runtime)
        .and_then(|runtime| {
            let outcome = runtime.block_on(run(&cli));
            runtime.shutdown_background();
            outcome
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done when even standard error is closed.
            let _ = writeln!(std::io::stderr(), "artisan: {}", one_line(&error));
            ExitCode::from(2)
        }
    }
}

async fn run(cli: &Cli) -> Result<(), StartupError> {
    let stop = stop_signal().map_err(StartupError::Signals)?;
    let Listeners { api, aws, port } = Listeners::at(cli.port).await?;

    let path = cli.template();
    let mut chosen = overrides(&Template::read(&path)?, std::env::vars());
    // Links in mails lead here, whatever the port.
    chosen.entry("PUBLIC_URL".to_owned()).or_insert_with(|| format!("http://localhost:{port}"));
    let (clock, hand) = Clock::ahead();
    let platform = Platform::start(Options {
        clock,
        hand: Some(hand),
        data: Data::Directory(cli.data_dir.clone()),
        environment: chosen,
        aws_address: format!("http://127.0.0.1:{}", port + 1),
        ..Options::new(path)
    })
    .await?;
    let administrator = first_start::administrator(&platform).await?;
    let demo = if cli.demo {
        let inbox = format!("http://127.0.0.1:{port}/_local/inbox/demo");
        demo::seed(&platform, &inbox, &mut show_progress).await?
    } else {
        None
    };

    let (trigger, shutdown) = shutdown::channel();
    let mut tasks = JoinSet::new();
    let environment = environment_file(&platform.variables(), port);
    let environment = Router::new().route("/_local/environment", get(|| async { environment }));
    tasks.spawn(server::serve(api, platform.router().merge(environment), shutdown.clone()));
    tasks.spawn(server::serve(aws, platform.engines().endpoint(), shutdown.clone()));
    let sources = platform.spawn_event_sources(shutdown);
    say(&banner(port, &cli.data_dir, administrator.as_ref(), demo.as_ref()));

    stop.await;
    say("\n  Stopping.\n");
    trigger.request();
    let finished = async {
        while tasks.join_next().await.is_some() {}
        // A panic in a poller has been reported; there is nothing left to wait for.
        let _ = sources.await;
    };
    if tokio::time::timeout(GRACE, finished).await.is_err() {
        tracing::warn!("some work did not finish in time; what was owed is taken up at the next start");
    }
    Ok(())
}

/// Completes when the process is asked to stop.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Ok(async move {
        #[cfg(unix)]
        let terminated = terminate.recv();
        #[cfg(not(unix))]
        let terminated = std::future::pending::<Option<()>>();
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated => {}
        }
    })
}

fn show_progress(done: usize, of: usize) {
    if done.is_multiple_of(25) || done == of {
        say(&format!(
            "\r  Making the sample tenant: {done} of {of} steps{}",
            if done == of { "\n" } else { "" }
        ));
    }
}

/// Nobody may be listening, which is no reason to stop.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
