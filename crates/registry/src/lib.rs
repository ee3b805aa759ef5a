//! Distribution protocol client and shared types.
