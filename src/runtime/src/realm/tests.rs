//! Secrets through the realm: sealed with their object, in no row in clear, and bound to where they stand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{fs, path::Path, sync::Arc};

use aegis_core::{Kind, ObjectKey, Secret as Hidden};
use aegis_engine::intent::{Intent, Wish};
use aegis_kinds::{App, AppEdit, Secret, SecretEdit, SecretScope};
use aegis_store::{LmdbStore, Store, realm::StoreRealm};
use aegis_wire::runtime::realm::{GetAppStatus, GetDigestKey, ListPlans, RealmCall, RealmPlan};

use super::{LocalRealm, call, edit, open};
use crate::{
    clock::Clock,
    secrets::{Scope, Secrets},
};

struct Home {
    directory: tempfile::TempDir,
    realm: StoreRealm<LmdbStore>,
    secrets: Secrets,
    clock: Clock,
}

impl Home {
    /// Opening secrets waits for the store, which no thread of a runtime may.
    async fn new() -> Self {
        tokio::task::spawn_blocking(Self::open).await.unwrap()
    }
    fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(LmdbStore::open(&directory.path().join("store")).unwrap());
        let dynamic: Arc<dyn Store> = store.clone();
        let secrets = Secrets::open(directory.path().join("master.key"), dynamic).unwrap();
        let clock = Clock::new(|| jiff::Timestamp::from_second(1_800_000_000).unwrap());
        let realm = open(store, &clock, "tester");
        Self { directory, realm, secrets, clock }
    }
    fn local(&self) -> LocalRealm<'_, LmdbStore> {
        LocalRealm::new(&self.realm, &self.secrets, &self.clock)
    }
    async fn app(&self, name: &str) {
        let spec = serde_json::from_str(r#"{"image": "x:1", "command": ["run"]}"#).unwrap();
        let intent = Intent::edit::<App>(AppEdit::Create(Box::new(spec)));
        let wish = Wish { key: ObjectKey::new(App::NAME, name), intent, document: None };
        edit(&self.local(), "app create", vec![wish]).await.unwrap();
    }
    async fn set(&self, scope: SecretScope, variable: &str, value: &str) {
        let key = ObjectKey::new(Secret::NAME, Secret::object_name(&scope, variable));
        let digest = self.secrets.digest(&key.name, value).unwrap();
        let intent = Intent::edit::<Secret>(SecretEdit::Set { scope, digest });
        let wish = Wish { key: key.clone(), intent, document: None };
        let local = self.local().with_value(key, Hidden::new(value.to_owned()));
        edit(&local, "secret set", vec![wish]).await.unwrap();
    }
    async fn delete(&self, keys: &[(&'static str, &str)]) -> Result<(), String> {
        let wish = |(kind, name): &(&'static str, &str)| Wish {
            key: ObjectKey::new(*kind, *name),
            intent: Intent::Delete,
            document: None,
        };
        let wishes = keys.iter().map(wish).collect();
        edit(&self.local(), "delete", wishes).await.map(drop).map_err(|error| error.message)
    }
    async fn ask<C: RealmCall>(&self, asked: &C) -> C::Answer {
        let body = serde_json::to_vec(asked).unwrap();
        let parts = (&self.realm, &self.secrets, &self.clock);
        serde_json::from_slice(&call(parts, |_| None, C::NAME, &body).await.unwrap()).unwrap()
    }
}

fn files_with(directory: &Path, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else if fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn a_value_is_sealed_with_its_object_and_stands_nowhere_in_clear() {
    let home = Home::new().await;
    home.app("web").await;
    home.set(SecretScope::Workspace, "TOKEN", "correct-horse-battery").await;
    home.set(SecretScope::App("web".into()), "TOKEN", "staple-of-the-app").await;
    let id = home.local().app_id("web");
    let of = |scope: Scope<'_>| home.secrets.values(scope).unwrap()["TOKEN"].to_string();
    assert_eq!(of(Scope::Workspace), "correct-horse-battery");
    assert_eq!(of(Scope::App(&id)), "staple-of-the-app");
    for value in ["correct-horse-battery", "staple-of-the-app"] {
        assert_eq!(files_with(home.directory.path(), value.as_bytes()), [] as [String; 0]);
    }
    // The same value again, sealed with another nonce, is no difference: nothing is written.
    let before = home.realm.store().revision();
    home.set(SecretScope::Workspace, "TOKEN", "correct-horse-battery").await;
    let plans: Vec<RealmPlan> = home.ask(&ListPlans { limit: None, owner: None }).await;
    assert_eq!((home.realm.store().revision(), plans.len()), (before, 3));
    home.set(SecretScope::Workspace, "TOKEN", "another").await;
    assert_eq!(of(Scope::Workspace), "another");
}

#[tokio::test]
async fn a_secret_without_its_value_is_refused() {
    let home = Home::new().await;
    let key = ObjectKey::new(Secret::NAME, "TOKEN");
    let right = home.secrets.digest("TOKEN", "a").unwrap();
    let set = |digest| Intent::edit::<Secret>(SecretEdit::Set { scope: SecretScope::Workspace, digest });
    let wish = |intent| vec![Wish { key: key.clone(), intent, document: None }];
    let without = edit(&home.local(), "t", wish(set(right.clone()))).await.unwrap_err();
    assert!(without.message.contains("isn't known here"), "{}", without.message);
    let wrong = home.local().with_value(key.clone(), Hidden::new("b".to_owned()));
    assert!(edit(&wrong, "t", wish(set(right))).await.is_err());
    assert!(home.secrets.names(Scope::Workspace).unwrap().is_empty());
    assert!(home.realm.get(&key).unwrap().is_none());
}

#[tokio::test]
async fn an_apps_values_go_with_their_objects() {
    let home = Home::new().await;
    home.app("web").await;
    let id = home.local().app_id("web");
    home.set(SecretScope::App("web".into()), "TOKEN", "1").await;
    let error = home.delete(&[("App", "web")]).await.unwrap_err();
    assert!(error.contains("Secret/web.TOKEN names it"), "{error}");
    home.delete(&[("Secret", "web.TOKEN"), ("App", "web")]).await.unwrap();
    assert!(home.secrets.names(Scope::App(&id)).unwrap().is_empty());
}

#[tokio::test]
async fn what_is_no_call_is_said_and_no_body_is_repeated() {
    let home = Home::new().await;
    let parts = (&home.realm, &home.secrets, &home.clock);
    assert_eq!(call(parts, |_| None, "nonsense", b"{}").await.unwrap_err().status, 404);
    let broken = br#"{"plan": 1, "writes": [{"secret_value": 8675309}]}"#;
    let error = call(parts, |_| None, "write", broken).await.unwrap_err();
    assert!(error.status == 400 && !error.message.contains("8675309"), "{error}");
    assert_eq!(home.ask(&GetAppStatus { app: "web".into() }).await, None);
    let key = home.ask(&GetDigestKey {}).await;
    assert_eq!(key.digest("A", "v"), home.secrets.digest("A", "v").unwrap());
}
