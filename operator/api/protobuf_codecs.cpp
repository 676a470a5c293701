// The kinds beside Pod from protobuf. Field numbers: k8s.io/api v0.36, generated.proto in core/v1, apps/v1,
// policy/v1, coordination/v1, discovery/v1 and autoscaling/v2. Each reader keeps what its JSON sibling in
// codecs.cpp keeps.
#include "api/codec_parts.h"
#include "api/codecs.h"
#include "api/names.h"
#include "api/protobuf_parts.h"

#include <algorithm>

namespace poolwarden::api {
namespace {

using protobuf::each_field;
using protobuf::each_field_of;
using protobuf::number_field;
using protobuf::pbf_reader;
using protobuf::text_field;
using protobuf::text_of;
using protobuf::view_of;

template <class Object>
void pass_over(std::string_view, Object&) {}

void read_node_metadata(std::string_view message, Node& out) {
  bool deleting = false;
  each_metadata_field(message, out, deleting, [&](pbf_reader& field) {
    if (field.tag_and_type() != kMetaLabel) return field.skip();
    const auto [key, value] = read_entry(view_of(field));
    if (key == kZoneLabel) out.zone = protobuf::valid_text(value);
  });
}

void read_node_spec(std::string_view message, Node& out) {
  each_field(message, [&](pbf_reader& spec) {
    switch (spec.tag_and_type()) {
      case number_field(4):
        out.unschedulable |= spec.get_bool();
        break;
      case text_field(5): {
        std::string& key = out.taints.emplace_back();
        each_field_of(view_of(spec), text_field(1), [&](pbf_reader& taint) { key = text_of(taint); });
        break;
      }
      default:
        spec.skip();
    }
  });
  std::sort(out.taints.begin(), out.taints.end());
}

void read_node_condition(std::string_view message, Node& out) {
  std::string_view type, status;
  each_field(message, [&](pbf_reader& condition) {
    switch (condition.tag_and_type()) {
      case text_field(1):
        type = view_of(condition);
        break;
      case text_field(2):
        status = view_of(condition);
        break;
      default:
        condition.skip();
    }
  });
  take_node_condition(type, status, out);
}

void read_node_status(std::string_view message, Node& out) {
  each_field_of(message, text_field(4),
                [&](pbf_reader& status) { read_node_condition(view_of(status), out); });
}

void read_replica_set_metadata(std::string_view message, ReplicaSet& out) {
  std::vector<OwnerReference> owners;
  each_metadata_field(message, out, out.deleting, [&](pbf_reader& field) {
    switch (field.tag_and_type()) {
      case kMetaAnnotation: {
        const auto [key, value] = read_entry(view_of(field));
        if (key == kDeploymentRevisionAnnotation || key == kRolloutRevisionAnnotation)
          read_revision(value, out);
        if (key == kDesiredReplicasAnnotation || key == kRolloutDesiredReplicasAnnotation)
          read_desired_replicas(value, out);
        break;
      }
      case kMetaOwner:
        owners.push_back(read_owner(view_of(field)));
        break;
      default:
        field.skip();
    }
  });
  bound_owners(owners);
  out.controller = controller_of(owners);
}

void read_replica_set_spec(std::string_view message, ReplicaSet& out) {
  each_field_of(message, number_field(1), [&](pbf_reader& spec) { out.replicas = spec.get_int32(); });
}

void read_replica_set_status(std::string_view message, ReplicaSet& out) {
  each_field_of(message, number_field(1),
                [&](pbf_reader& status) { out.status_replicas = status.get_int32(); });
}

// Kinds that keep their owners, and labels if they have a place for them.
template <class Object>
void read_owned_metadata(std::string_view message, Object& out) {
  each_metadata_field(message, out, out.deleting, [&](pbf_reader& field) {
    if (field.tag_and_type() == kMetaOwner) {
      out.owners.push_back(read_owner(view_of(field)));
      return;
    }
    if constexpr (requires { out.labels; }) {
      if (field.tag_and_type() == kMetaLabel) return read_entry_into(view_of(field), out.labels);
    }
    if constexpr (requires { out.pods_version; }) {
      out.shared |= field.tag_and_type() == kMetaFinalizer;
      if (field.tag_and_type() == kMetaAnnotation) {
        const auto [key, value] = read_entry(view_of(field));
        out.shared |= !is_annotation_of_list(key);
        if (key == kRevisionAnnotation) out.revision = protobuf::valid_text(value);
        if (key == kPodsVersionAnnotation) out.pods_version = protobuf::valid_text(value);
        return;
      }
    }
    field.skip();
  });
  bound_owners(out.owners);
}

void read_lease_metadata(std::string_view message, ConsumerLease& out) {
  each_metadata_field(message, out, out.deleting, [&](pbf_reader& field) {
    switch (field.tag_and_type()) {
      case kMetaLabel: {
        const auto [key, value] = read_entry(view_of(field));
        if (key == kPoolLabel) out.pool = bounded_text(protobuf::valid_text(value));
        if (key == kConsumerLabel) out.kind = bounded_text(protobuf::valid_text(value));
        break;
      }
      case kMetaAnnotation: {
        const auto [key, value] = read_entry(view_of(field));
        if (key == kAppliedRevisionsAnnotation) read_applied_revisions(value, out);
        if (key == kAppliedAtAnnotation) read_applied_at(value, out);
        break;
      }
      default:
        field.skip();
    }
  });
}

void read_lease_spec(std::string_view message, ConsumerLease& out) {
  each_field(message, [&](pbf_reader& spec) {
    switch (spec.tag_and_type()) {
      case text_field(1):
        out.holder = bounded_text(text_of(spec));
        break;
      case number_field(2):
        read_lease_seconds(spec.get_int32(), out);
        break;
      default:
        spec.skip();
    }
  });
}

void read_budget_spec(std::string_view message, DisruptionBudget& out) {
  each_field(message, [&](pbf_reader& spec) {
    switch (spec.tag_and_type()) {
      case text_field(1):
        out.min_available = read_int_or_string(view_of(spec));
        break;
      case text_field(2):
        out.selector = read_selector(view_of(spec));
        break;
      case text_field(3):
        out.max_unavailable = read_int_or_string(view_of(spec));
        break;
      case text_field(4):
        out.unhealthy_pods = text_of(spec);
        break;
      default:
        spec.skip();
    }
  });
}

void read_scale_target(std::string_view message, Autoscaler& out) {
  each_field(message, [&](pbf_reader& target) {
    switch (target.tag_and_type()) {
      case text_field(1):
        out.target_kind = bounded_text(text_of(target));
        break;
      case text_field(2):
        out.target_name = bounded_text(text_of(target));
        break;
      case text_field(3):
        out.target_group = group_of(text_of(target));
        break;
      default:
        target.skip();
    }
  });
}

void read_autoscaler_spec(std::string_view message, Autoscaler& out) {
  each_field_of(message, text_field(1), [&](pbf_reader& spec) { read_scale_target(view_of(spec), out); });
}

ServicePort read_service_port(std::string_view message) {
  ServicePort out;
  std::optional<std::string> target;
  each_field(message, [&](pbf_reader& port) {
    switch (port.tag_and_type()) {
      case text_field(1):
        out.name = text_of(port);
        break;
      case text_field(2):
        out.protocol = text_of(port);
        break;
      case number_field(3):
        out.number = port.get_int32();
        break;
      case text_field(4):
        target = read_int_or_string(view_of(port));
        break;
      default:
        port.skip();
    }
  });
  if (out.protocol.empty()) out.protocol = "TCP";
  out.target = target ? std::move(*target) : std::to_string(out.number);
  return out;
}

void read_service_spec(std::string_view message, Service& out) {
  each_field(message, [&](pbf_reader& spec) {
    switch (spec.tag_and_type()) {
      case text_field(1):
        out.ports.push_back(read_service_port(view_of(spec)));
        break;
      case text_field(2):
        read_entry_into(view_of(spec), out.selector);
        break;
      default:
        spec.skip();
    }
  });
}

void read_slice_metadata(std::string_view message, EndpointSlice& out) {
  each_metadata_field(message, out, out.deleting, [&](pbf_reader& field) {
    switch (field.tag_and_type()) {
      case kMetaLabel: {
        const auto [key, value] = read_entry(view_of(field));
        take_slice_label(key, protobuf::valid_text(value), out);
        break;
      }
      case kMetaOwner:
        out.owners.push_back(read_owner(view_of(field)));
        break;
      default:
        field.skip();
    }
  });
}

void read_slice_conditions(std::string_view message, SliceEndpoint& out) {
  std::optional<bool> serving;
  each_field(message, [&](pbf_reader& conditions) {
    switch (conditions.tag_and_type()) {
      case number_field(1):
        out.ready = conditions.get_bool();
        break;
      case number_field(2):
        serving = conditions.get_bool();
        break;
      case number_field(3):
        out.terminating = conditions.get_bool();
        break;
      default:
        conditions.skip();
    }
  });
  out.serving = serving.value_or(out.ready);
}

void read_target_pod(std::string_view message, SliceEndpoint& out) {
  each_field(message, [&](pbf_reader& target) {
    switch (target.tag_and_type()) {
      case text_field(3):
        out.pod = text_of(target);
        break;
      case text_field(4):
        out.uid = text_of(target);
        break;
      default:
        target.skip();
    }
  });
}

void read_slice_endpoint(std::string_view message, EndpointSlice& slice) {
  SliceEndpoint out;
  out.ready = out.serving = true;
  std::size_t addresses = 0;
  each_field(message, [&](pbf_reader& endpoint) {
    switch (endpoint.tag_and_type()) {
      case text_field(1):
        if (addresses++ == 0) {
          out.address = text_of(endpoint);
        } else {
          endpoint.skip();
        }
        break;
      case text_field(2):
        read_slice_conditions(view_of(endpoint), out);
        break;
      case text_field(3):
        out.has_more |= !view_of(endpoint).empty();
        break;
      case text_field(4):
        read_target_pod(view_of(endpoint), out);
        break;
      case text_field(6):
        out.node = text_of(endpoint);
        break;
      case text_field(7):
        out.zone = text_of(endpoint);
        break;
      case text_field(8):
        out.has_more = true;
        endpoint.skip();
        break;
      default:
        endpoint.skip();
    }
  });
  out.has_more |= addresses > 1;
  slice.endpoints.push_back(std::move(out));
}

void read_slice_port(std::string_view message, EndpointSlice& slice) {
  SlicePort out;
  each_field(message, [&](pbf_reader& port) {
    switch (port.tag_and_type()) {
      case text_field(1):
        out.name = text_of(port);
        break;
      case text_field(2):
        out.protocol = text_of(port);
        break;
      case number_field(3):
        out.number = port.get_int32();
        break;
      default:
        port.skip();
    }
  });
  if (out.protocol.empty()) out.protocol = "TCP";
  slice.ports.push_back(std::move(out));
}

void read_config_map_entry(std::string_view message, ConfigMap& out) {
  const auto [key, value] = read_entry(message);
  if (key == kEndpointsJsonKey) out.endpoints_json = protobuf::valid_text(value);
  if (key == kEndpointsTextKey) out.endpoints_text = protobuf::valid_text(value);
  out.shared |= !is_key_of_list(key);
}

// Others' data, in a field whose contents do not matter.
void read_binary_data(std::string_view, ConfigMap& out) {
  out.shared = true;
}

}  // namespace

std::optional<Node> NodeCodec::from_protobuf(std::string_view message) {
  return read_object<Node>(message, read_node_metadata, read_node_spec, read_node_status);
}

std::optional<ReplicaSet> ReplicaSetCodec::from_protobuf(std::string_view message) {
  return read_object<ReplicaSet>(message, read_replica_set_metadata, read_replica_set_spec,
                                 read_replica_set_status);
}

std::optional<DisruptionBudget> DisruptionBudgetCodec::from_protobuf(std::string_view message) {
  return read_object<DisruptionBudget>(message, read_owned_metadata<DisruptionBudget>, read_budget_spec,
                                       pass_over<DisruptionBudget>);
}

std::optional<ConsumerLease> ConsumerLeaseCodec::from_protobuf(std::string_view message) {
  return read_object<ConsumerLease>(message, read_lease_metadata, read_lease_spec, pass_over<ConsumerLease>);
}

std::optional<Autoscaler> AutoscalerCodec::from_protobuf(std::string_view message) {
  return read_object<Autoscaler>(message, read_plain_metadata<Autoscaler>, read_autoscaler_spec,
                                 pass_over<Autoscaler>);
}

std::optional<Service> ServiceCodec::from_protobuf(std::string_view message) {
  auto out =
      read_object<Service>(message, read_owned_metadata<Service>, read_service_spec, pass_over<Service>);
  if (out) bound_service(*out);
  return out;
}

std::optional<EndpointSlice> EndpointSliceCodec::from_protobuf(std::string_view message) {
  auto out = read_object<EndpointSlice>(message, read_slice_metadata, read_slice_endpoint, read_slice_port);
  if (!out) return out;
  each_field_of(message, text_field(4),
                [&](pbf_reader& address_type) { out->address_type = text_of(address_type); });
  bound_slice(*out);
  return out;
}

std::optional<ConfigMap> ConfigMapCodec::from_protobuf(std::string_view message) {
  auto out = read_object<ConfigMap>(message, read_owned_metadata<ConfigMap>, read_config_map_entry,
                                    read_binary_data);
  if (!out) return out;
  // `immutable`, which is there only where somebody has set it.
  each_field_of(message, number_field(4), [&](pbf_reader& part) {
    out->shared = true;
    part.skip();
  });
  out->shared |=
      out->owners.size() > 1 || !std::all_of(out->labels.begin(), out->labels.end(),
                                             [](const auto& label) { return is_label_of_list(label.first); });
  bound_config_map(*out);
  return out;
}

}  // namespace poolwarden::api
