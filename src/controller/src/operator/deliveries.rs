//! How hosts stand with the apps, kits and secrets that have a target, and what secrets are compared by.

use aegis_core::Secret;
use aegis_wire::operator::{Delivery, ListDeliveries};

use super::{Reply, auth::Caller};
use crate::{
    assignments::{self, Secrets},
    state::Controller,
};

pub(super) fn list(controller: &Controller, caller: &Caller, which: &ListDeliveries) -> Reply<Vec<Delivery>> {
    assignments::deliveries(controller, &caller.tenant, which)
}

pub(super) async fn digest_key(controller: &Controller, caller: &Caller) -> Reply<Secret<Vec<u8>>> {
    Secrets::digest_key(&*controller.store, &caller.tenant).await
}
