//! The kinds of objects that can be declared: one file a kind, and the table of all of them.
//!
//! A new kind is one new file and one line in [`table`]: schema, `explain`, completion, the manifest decoder and the
//! law tests are loops over the table. `docs/guide/add-a-kind.md` has the check-list.

mod edge_group;
mod edge_node;
mod erased;
pub mod policy;
mod quantity;
mod rollout;
mod security_context;
mod set;
mod table;
pub mod tool;

pub use edge_group::{EdgeGroup, EdgeGroupEdit, EdgeGroupSpec};
pub use edge_node::{EdgeNode, EdgeNodeEdit, EdgeNodeSpec};
pub use erased::{
    AnyPlan, Line, Next, PlanError, check_stored, export, plan_declared, plan_delete, plan_edit, project,
};
pub use quantity::{ByteSize, InvalidQuantity, Rate};
pub use rollout::{Batch, HealthCheck, Rollback, Rollout, RolloutMode, RolloutSpec, RolloutStrategy};
pub use security_context::{Capability, SecurityContext, SecurityContextSpec};
pub use set::UniqueSet;
pub use table::{API_VERSION, AnyKind, Info, KINDS, Spec, Visitor, find, spec_schema, visit};
