// A pod from protobuf. Field numbers: k8s.io/api v0.36, core/v1/generated.proto (Pod, PodSpec, Container,
// Lifecycle, PodReadinessGate, PodStatus, PodCondition, PodIP).
#include "api/codecs.h"
#include "api/pod_draft.h"
#include "api/protobuf_parts.h"

namespace poolwarden::api {
namespace {

using protobuf::each_field;
using protobuf::each_field_of;
using protobuf::number_field;
using protobuf::pbf_reader;
using protobuf::text_field;
using protobuf::text_of;
using protobuf::view_of;

void read_pod_owner(std::string_view message, PodDraft& out) {
  std::string_view uid;
  bool controls = false;
  each_field(message, [&](pbf_reader& owner) {
    switch (owner.tag_and_type()) {
      case text_field(4):
        uid = view_of(owner);
        break;
      case number_field(6):
        controls = owner.get_bool();
        break;
      default:
        owner.skip();
    }
  });
  if (controls) out.controller = protobuf::valid_text(uid);
}

// managedFields, field 17, is the half of a pod; it is stepped over.
void read_pod_metadata(std::string_view message, PodDraft& out) {
  each_field(message, [&](pbf_reader& metadata) {
    switch (metadata.tag_and_type()) {
      case text_field(1):
        out.pod.name = text_of(metadata);
        break;
      case text_field(3):
        out.pod.ns = text_of(metadata);
        break;
      case text_field(5):
        out.pod.uid = text_of(metadata);
        break;
      case text_field(6):
        out.pod.resource_version = text_of(metadata);
        break;
      case text_field(8):
        out.pod.created = read_time(view_of(metadata)).value_or(Timestamp{});
        break;
      case text_field(9):
        out.pod.deletion_timestamp = read_deletion(view_of(metadata));
        break;
      case number_field(10):
        out.pod.deletion_grace_seconds = metadata.get_int64();
        break;
      case kMetaLabel:
        read_entry_into(view_of(metadata), out.labels);
        break;
      case kMetaAnnotation: {
        const auto [key, value] = read_entry(view_of(metadata));
        if (PodDraft::keeps_annotation(key)) out.annotation(key, protobuf::valid_text(value));
        break;
      }
      case kMetaOwner:
        read_pod_owner(view_of(metadata), out);
        break;
      default:
        metadata.skip();
    }
  });
}

bool has_pre_stop(std::string_view lifecycle) {
  bool has = false;
  each_field_of(lifecycle, text_field(2), [&](pbf_reader& hook) {
    has = true;
    hook.skip();
  });
  return has;
}

// True if it has a hook that runs before it is stopped.
bool read_container(std::string_view message, PodDraft& out) {
  bool pre_stop = false;
  each_field(message, [&](pbf_reader& container) {
    switch (container.tag_and_type()) {
      case text_field(11):
        out.pod.has_readiness_probe = true;
        container.skip();
        break;
      case text_field(12):
        pre_stop = pre_stop || has_pre_stop(view_of(container));
        break;
      default:
        container.skip();
    }
  });
  return pre_stop;
}

void read_pod_spec(std::string_view message, PodDraft& out) {
  each_field(message, [&](pbf_reader& spec) {
    switch (spec.tag_and_type()) {
      case text_field(2):
        out.container(read_container(view_of(spec), out));
        break;
      case number_field(4):
        out.pod.termination_grace_seconds = spec.get_int64();
        break;
      case text_field(10):
        out.node = text_of(spec);
        break;
      // Init containers: one that restarts always (a sidecar) may have a readiness probe.
      case text_field(20):
        read_container(view_of(spec), out);
        break;
      case text_field(28):
        each_field_of(view_of(spec), text_field(1),
                      [&](pbf_reader& gate) { out.gates.push_back(text_of(gate)); });
        break;
      default:
        spec.skip();
    }
  });
}

ConditionDraft read_condition(std::string_view message) {
  ConditionDraft out;
  each_field(message, [&](pbf_reader& condition) {
    switch (condition.tag_and_type()) {
      case text_field(1):
        out.type = text_of(condition);
        break;
      case text_field(2):
        out.status = to_tristate(view_of(condition));
        break;
      case text_field(5):
        out.reason = text_of(condition);
        break;
      default:
        condition.skip();
    }
  });
  return out;
}

void read_pod_status(std::string_view message, PodDraft& out) {
  each_field(message, [&](pbf_reader& status) {
    switch (status.tag_and_type()) {
      case text_field(1):
        out.pod.phase = to_phase(view_of(status));
        break;
      case text_field(2):
        out.conditions.push_back(read_condition(view_of(status)));
        break;
      case text_field(4):
        out.status_reason = text_of(status);
        break;
      case text_field(6):
        out.primary_ip = text_of(status);
        break;
      case text_field(12):
        each_field_of(view_of(status), text_field(1), [&](pbf_reader& ip) { out.ip(text_of(ip)); });
        break;
      default:
        status.skip();
    }
  });
}

}  // namespace

std::optional<Pod> PodCodec::from_protobuf(std::string_view message) {
  PodDraft draft;
  if (!read_parts(message, draft, read_pod_metadata, read_pod_spec, read_pod_status)) return std::nullopt;
  return draft.take();
}

}  // namespace poolwarden::api
