// A shard's document as its ConfigMap has it: whose it is, which revision, and whether it is as we write it.
//
// Pure.
#pragma once

#include "api/endpoint_set.h"
#include "api/inference_pool.h"
#include "api/objects.h"
#include "pool/plan.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace poolwarden::pool {

// The revision of a list that readers take; 0 for one that somebody has edited to be none.
std::int64_t sane_revision(std::int64_t revision);
// The newer of what the document and the annotation say.
std::int64_t revision_of(const api::ConfigMap& map, const std::optional<api::EndpointSet>& set);

bool has_our_labels(const api::InferencePool& pool, const api::ConfigMap& map);
bool is_owned_by(const api::ConfigMap& map, std::string_view pool_uid);

// What a shard's ConfigMap says, and what in it is not as we write it.
PublishedDocument read_published(const api::InferencePool& pool, const api::ConfigMap& map);

// Whether it says just that, at its own revision, which `wanted` is given. For a document that our own reader
// would refuse: compared as bytes, so that it is not written over and over.
bool says_exactly(const api::InferencePool& pool, const api::ConfigMap& map, api::EndpointSet& wanted);

}  // namespace poolwarden::pool
