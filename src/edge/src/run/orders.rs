//! The checks of an order, in the order of 2-protocol.md ("Envelopes"), failing closed. The outer signature and the
//! sequence are checked before by [`Session::open`](super::session::Session::open); what the arguments themselves may
//! name is checked after by the toolbox, which knows the tools.

use std::time::Duration;

use aegis_core::{
    fleet::{CommandId, LONGEST_DEADLINE},
    session::CLOCK_TOLERANCE_MS,
};
use aegis_kinds::policy::{Grant, grants};
use aegis_wire::edge::{Order, Refusal, SignedOrder};

use super::{
    Identity,
    contexts::Contexts,
    seen::{NotNoted, Seen},
};
use crate::config::EdgeConfig;

/// How long an order is good at most: the longest deadline, and an hour for clocks that differ.
const LONGEST_ORDER: Duration = LONGEST_DEADLINE.saturating_add(Duration::from_hours(1));

/// How much later, by the own clock, an order may be begun: as much as the clocks may differ by for an envelope. Without
/// it a deadline of less than that would make a clock that is a little ahead refuse everything.
const TOLERANCE_MS: i64 = CLOCK_TOLERANCE_MS.cast_signed();

/// What an order is checked against.
pub(super) struct Against<'a> {
    /// Who this host is.
    pub identity: &'a Identity,
    /// The own clock, in milliseconds since 1970.
    pub now_ms: i64,
    /// The commands that came before.
    pub seen: &'a mut Seen,
    /// What was pushed.
    pub contexts: &'a Contexts,
    /// What the host's owner allows.
    pub config: &'a EdgeConfig,
}

/// Why an order isn't obeyed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rejected {
    /// The controller doesn't vouch for it: whoever passes the stream on lies, and nothing more can be believed.
    Forged(String),
    /// The controller is told so.
    Refused {
        /// Which command.
        command: CommandId,
        /// By which rule.
        refusal: Refusal,
        /// What is wrong, and the way out.
        message: String,
    },
}

impl Against<'_> {
    /// What the order says, and what it may do.
    pub fn check(
        self,
        signed: &SignedOrder,
        vouched: Option<[u8; 32]>,
        arguments: &[u8],
    ) -> Result<(Order, Vec<Grant>), Rejected> {
        let Self { identity, now_ms, seen, contexts, config } = self;
        if vouched != Some(signed.digest()) {
            return Err(Rejected::Forged("the order isn't signed by the controller".to_owned()));
        }
        let order = signed.read().map_err(|error| Rejected::Forged(error.to_string()))?;
        let refuse = |refusal, message: String| {
            Err(Rejected::Refused { command: order.command.clone(), refusal, message })
        };

        if now_ms > order.expires_at_ms.saturating_add(TOLERANCE_MS) {
            let late = now_ms.saturating_sub(order.expires_at_ms);
            return refuse(
                Refusal::Expired,
                format!("the order expired {late} ms ago; compare the clocks of both hosts, or ask again"),
            );
        }
        // Commands are remembered for as long as their orders are good; one that is good for ever would be for ever.
        let good_for = u64::try_from(order.expires_at_ms.saturating_sub(now_ms)).unwrap_or(0);
        if Duration::from_millis(good_for) > LONGEST_ORDER {
            return refuse(
                Refusal::Expired,
                "the order is good for longer than any order is; compare the clocks of both hosts".to_owned(),
            );
        }
        if order.tenant != identity.tenant {
            return refuse(
                Refusal::Misdirected,
                format!("the order is of tenant {}, this host is of {}", order.tenant, identity.tenant),
            );
        }
        if order.node != identity.node_id {
            return refuse(
                Refusal::Misdirected,
                format!("the order is for {}, this host is {}", order.node, identity.node_id),
            );
        }
        match seen.note(&order.command, order.expires_at_ms, now_ms) {
            Ok(()) => {}
            Err(NotNoted::Repeated) => {
                return refuse(
                    Refusal::Repeated,
                    "the command came before and is done once only; ask again as a new one".to_owned(),
                );
            }
            Err(NotNoted::Full) => {
                return refuse(
                    Refusal::Busy,
                    "this host had as many commands as it remembers; ask again when some have expired"
                        .to_owned(),
                );
            }
        }
        let Some(context) = contexts.get(&order.security_context) else {
            let (name, known) = (&order.security_context, contexts.names());
            return refuse(
                Refusal::Context,
                format!("this host has no security context '{name}'; it has {known}"),
            );
        };
        let allowed = grants(
            &order.tool,
            &order.security_context,
            context,
            config.local_policy.as_ref(),
            config.mount_points.as_deref(),
        );
        let grants = match allowed {
            Ok(grants) => grants,
            Err(denied) => return refuse(Refusal::Tool, denied.to_string()),
        };
        if !order.is_for(arguments) {
            return refuse(
                Refusal::Arguments,
                "the arguments aren't those that were signed; ask again".to_owned(),
            );
        }
        Ok((order, grants))
    }
}
