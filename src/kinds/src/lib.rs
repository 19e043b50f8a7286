//! The kinds of objects that can be declared: one file a kind, and the table of all of them.
//!
//! A new kind is one new file and one line in [`table`]: schema, `explain`, completion, the manifest decoder and the
//! law tests are loops over the table. `docs/guide/add-a-kind.md` has the check-list.

mod app;
mod edge_group;
mod edge_node;
mod erased;
mod kit;
pub mod policy;
mod quantity;
mod record;
mod rollout;
mod secret;
mod security_context;
mod set;
mod table;
mod target;
pub mod tool;
mod variable;

pub use app::{
    App, AppEdit, AppSpec, EffectiveApp, ExposedPort, Idle, Readiness, ReadinessPort, Release, Resources,
};
pub use edge_group::{EdgeGroup, EdgeGroupEdit, EdgeGroupSpec};
pub use edge_node::{EdgeNode, EdgeNodeEdit, EdgeNodeSpec};
pub use erased::{
    AnyPlan, Line, Next, PlanError, check_stored, export, plan_declared, plan_delete, plan_edit, project,
};
pub use kit::{Kit, KitConfig, KitEdit, KitSpec};
pub use quantity::{ByteSize, InvalidQuantity, Rate};
pub use record::RecordChange;
pub use rollout::{Batch, HealthCheck, Rollback, Rollout, RolloutMode, RolloutSpec, RolloutStrategy};
pub use secret::{
    Literal, Secret, SecretChange, SecretEdit, SecretScope, SecretSpec, StoredSecret, ValueDigest, ValueFrom,
    VaultField,
};
pub use security_context::{Capability, SecurityContext, SecurityContextSpec};
pub use set::UniqueSet;
pub use table::{API_VERSION, AnyKind, Info, KINDS, Spec, Visitor, find, spec_schema, visit};
pub use variable::is_variable;
