//! The way of one request through the stages, as it is written down.

use super::Target;
use super::event::Event;
use crate::authentication::User;
use crate::reply::{Body, Content, Reply};
use crate::server::Server;
use crate::stages::{Authorized, Call};
use api_resources::audit::{Decision, Level, Stage};
use api_types::ApiError;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A request that is written down. Dropped before its answer is there, it says that the client went away, or that the
/// server failed.
pub struct Trail {
    targets: Vec<(Arc<Target>, Decision)>,
    event: Event,
    open: bool,
}

impl Trail {
    /// Begins to follow a request. `None`: nobody wants to know.
    pub fn begin(server: &Server, call: &Call, id: &HeaderValue, source: IpAddr) -> Option<Self> {
        let installation = server.audit().cloned();
        let tenant = call.plane.audit.load_full();
        if installation.is_none() && tenant.is_none() {
            return None;
        }
        let targets = installation.into_iter().chain(tenant);
        let targets = targets.map(|target| (target, Decision::default())).collect();
        Some(Trail { targets, event: Event::of(call, id, source), open: false })
    }

    /// The user is known: what is to be written is decided, and that the request came is written.
    pub fn is_of(&mut self, call: &Call, user: &User) {
        for (target, decision) in &mut self.targets {
            *decision = target.decide(user, &call.info);
        }
        self.targets.retain(|(_, decision)| decision.level > Level::None);
        self.event.user = user.clone();
        self.open = true;
        self.write(Stage::RequestReceived, None);
    }

    /// Nobody is known to make it.
    pub fn is_of_nobody(&mut self, call: &Call, why: &ApiError) {
        let nobody = User::default();
        for (target, decision) in &mut self.targets {
            *decision = target.decide(&nobody, &call.info);
        }
        self.targets.retain(|(_, decision)| decision.level > Level::None);
        self.event.code = why.code();
        self.event.status = Some(serde_json::json!({
            "metadata": {}, "status": "Failure", "reason": "Unauthorized", "code": why.code(),
            "message": "Authentication failed: the certificate or token is not one of this plane's, or not any more"}));
        self.write(Stage::ResponseStarted, None);
        self.targets.clear();
    }

    /// As whom it is made, and the verb that allowed that, when it was constrained.
    pub fn acts_as(&mut self, user: &User, constraint: Option<&'static str>) {
        if *user != self.event.user {
            self.event.impersonated = Some(user.clone());
        }
        self.event.constraint = constraint;
    }

    /// Whether it may be done, and why.
    pub fn decided(&mut self, authorized: Result<&Authorized, &ApiError>) {
        let (decision, reason) = match authorized {
            Ok(authorized) => ("allow", authorized.allowed_by()),
            Err(error) if error.code() == 403 => ("forbid", ""),
            Err(_) => return,
        };
        self.event.annotate("authorization.k8s.io/decision", decision);
        self.event.annotate("authorization.k8s.io/reason", reason);
    }

    /// What was sent with it.
    pub fn sent(&mut self, body: &Bytes, content_type: &str) {
        let names = self.event.needs_name();
        if self.targets.is_empty() || body.is_empty() || (!names && self.level() < Level::Request) {
            return;
        }
        self.event.sent(body, content_type);
    }

    /// What guards and the standards of pods have to say about it.
    pub fn annotate(&mut self, annotations: Vec<(String, String)>) {
        for (key, value) in annotations {
            self.event.annotate(&key, &value);
        }
    }

    /// What is answered. An answer that is a stream is followed to its end.
    pub fn finish(mut self, reply: Reply) -> Reply {
        if self.targets.is_empty() {
            return reply;
        }
        self.event.code = reply.code.as_u16();
        let (code, mut reply) = (reply.code, reply);
        match reply.content {
            Content::Stream(of, body) => {
                self.write(Stage::ResponseStarted, None);
                reply.content = Content::Stream(of, self.along(body));
            }
            Content::Foreign(body) if code != StatusCode::SWITCHING_PROTOCOLS => {
                self.write(Stage::ResponseStarted, None);
                reply.content = Content::Foreign(self.along(body));
            }
            Content::Foreign(body) => {
                self.write(Stage::ResponseStarted, None);
                reply.content = Content::Foreign(body);
                // Whoever carries the connection on has it until that ends. Nobody does: it has ended.
                if let Some(next) = reply.goes_on.take() {
                    drop(next.send(self));
                }
            }
            content => {
                let answered = self.event.answered(&content, self.level());
                if let Some(status) = &answered.status {
                    self.event.status = Some(status.clone());
                }
                reply.content = content;
                self.end(answered.object.as_ref());
            }
        }
        reply
    }

    fn along(self, body: Body) -> Body {
        Followed { body, _trail: self }.boxed_unsync()
    }

    fn end(&mut self, answer: Option<&serde_json::Value>) {
        self.open = false;
        self.write(Stage::ResponseComplete, answer);
    }

    fn level(&self) -> Level {
        self.targets.iter().map(|(_, decision)| decision.level).max().unwrap_or_default()
    }

    fn write(&mut self, stage: Stage, answer: Option<&serde_json::Value>) {
        for (target, decision) in &self.targets {
            if !decision.omit_stages.contains(&stage) {
                target.write(&self.event.render(stage, decision, answer, target.is_internal()));
            }
        }
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        self.open = false;
        if std::thread::panicking() {
            self.event.code = 500;
            self.write(Stage::Panic, None);
        } else {
            self.write(Stage::ResponseComplete, None);
        }
    }
}

/// A stream whose trail ends with it.
struct Followed {
    body: Body,
    _trail: Trail,
}

impl http_body::Body for Followed {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
