//! tests come with the kinds

