//! What a context allows, by example and by law.
