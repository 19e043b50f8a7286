//! Who may do what: the one place where a call is let in.

use aegis_core::TenantId;
use aegis_wire::{
    ApiError,
    operator::{Bearer, WhoAmI},
    token::{Role, Scope, UserClaims},
};
use jiff::Timestamp;

use crate::{failed, state::Controller};

/// Somebody whose token was checked, acting for one tenant.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub subject: String,
    /// For which tenant this call is.
    pub tenant: TenantId,
    pub role: Role,
    /// Whether it may act for every tenant and for the controller itself.
    pub controller_scope: bool,
    pub expires_at: Timestamp,
}

impl Controller {
    /// Checks the bearer's token, its role, and the tenant that it wants to act for.
    pub(crate) fn authorize(&self, bearer: &Bearer) -> Result<Caller, ApiError> {
        let claims = UserClaims::verify(bearer.token(), &self.keys, self.now_seconds()).map_err(|error| {
            self.refused("", "", bearer, &error.to_string());
            ApiError::unauthenticated(error.to_string()).hint("ask for a new token, or use another context")
        })?;
        if self.is_spent(&claims.jti).map_err(failed)? || self.tenant(&claims.tid).map_err(failed)?.is_none()
        {
            self.refused(&claims.sub, claims.tid.as_str(), bearer, "the token was revoked");
            return Err(
                ApiError::unauthenticated("the token isn't accepted any more").hint("ask for a new token")
            );
        }
        if claims.role < bearer.role() {
            let message = format!("this needs the role {}, the token has {}", bearer.role(), claims.role);
            self.refused(&claims.sub, claims.tid.as_str(), bearer, &message);
            return Err(ApiError::permission_denied(message)
                .hint(format!("aegis controller token create --role {}, by an admin", bearer.role())));
        }
        let controller_scope = claims.scope == Some(Scope::Controller);
        let mut caller = Caller {
            subject: claims.sub,
            tenant: claims.tid,
            role: claims.role,
            controller_scope,
            expires_at: Timestamp::from_second(claims.exp).unwrap_or(Timestamp::MAX),
        };
        if let Some(tenant) = bearer.tenant() {
            caller.tenant = self.tenant_for(&caller, Some(tenant))?;
        }
        Ok(caller)
    }

    /// The tenant that a caller names, if it may act for it; without a name its own. A tenant that the caller may not
    /// act for and one that doesn't exist look the same.
    pub(crate) fn tenant_for(&self, caller: &Caller, wish: Option<&TenantId>) -> Result<TenantId, ApiError> {
        let Some(wish) = wish.filter(|wish| **wish != caller.tenant) else {
            return Ok(caller.tenant.clone());
        };
        if caller.controller_scope && self.tenant(wish).map_err(failed)?.is_some() {
            return Ok(wish.clone());
        }
        self.audit_refusal(self.event(
            &caller.subject,
            caller.tenant.as_str(),
            "tenant",
            wish.as_str(),
            "unknown, or not the caller's",
        ));
        Err(ApiError::not_found(format!("tenant '{wish}' not found")).hint("aegis controller tenant ls"))
    }

    fn refused(&self, subject: &str, tenant: &str, bearer: &Bearer, why: &str) {
        self.audit_refusal(self.event(subject, tenant, "call", bearer.method(), why));
    }
}

impl Caller {
    /// Lets only those go on who may act for the controller itself.
    pub fn need_controller_scope(&self, controller: &Controller, what: &str) -> Result<(), ApiError> {
        if self.controller_scope {
            return Ok(());
        }
        let message = format!("{what} needs a token with the scope 'controller'");
        controller.audit_refusal(controller.event(
            &self.subject,
            self.tenant.as_str(),
            "call",
            what,
            &message,
        ));
        Err(ApiError::permission_denied(message).hint("use the controller's own admin-context.yaml"))
    }

    pub fn who_am_i(self) -> WhoAmI {
        WhoAmI {
            subject: self.subject,
            tenant: self.tenant,
            role: self.role,
            controller_scope: self.controller_scope,
            expires_at: self.expires_at,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}
