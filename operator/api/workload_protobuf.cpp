// The workloads that a pool may scale, from protobuf. Field numbers: k8s.io/api v0.36, generated.proto in
// apps/v1 and core/v1. Each reader keeps what its JSON sibling in codecs.cpp keeps.
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

// Of a hook that sleeps, for how long.
std::int64_t sleep_of_hook(std::string_view message) {
  std::optional<std::int64_t> sleep;
  std::string command;
  each_field(message, [&](pbf_reader& hook) {
    switch (hook.tag_and_type()) {
      case text_field(1):
        each_field_of(view_of(hook), text_field(1), [&](pbf_reader& exec) {
          command += ' ';
          command += view_of(exec);
        });
        break;
      case text_field(4):
        sleep = sleep.value_or(0);
        each_field_of(view_of(hook), number_field(1),
                      [&](pbf_reader& action) { sleep = action.get_int64(); });
        break;
      default:
        hook.skip();
    }
  });
  return sleep ? *sleep : sleep_of(command);
}

// Of several containers the longest hook counts: the pod's grace period has to cover it.
void read_template_container(std::string_view message, Workload& out) {
  each_field(message, [&](pbf_reader& container) {
    switch (container.tag_and_type()) {
      case text_field(11):
        out.has_readiness_probe = true;
        container.skip();
        break;
      case text_field(12):
        each_field_of(view_of(container), text_field(2), [&](pbf_reader& lifecycle) {
          const std::string_view hook = view_of(lifecycle);
          if (hook.empty()) return;
          out.has_pre_stop = true;
          out.pre_stop_sleep_seconds = std::max(out.pre_stop_sleep_seconds, sleep_of_hook(hook));
        });
        break;
      default:
        container.skip();
    }
  });
}

void read_template_spec(std::string_view message, Workload& out) {
  each_field(message, [&](pbf_reader& spec) {
    switch (spec.tag_and_type()) {
      case text_field(2):
        read_template_container(view_of(spec), out);
        break;
      case number_field(4):
        out.termination_grace_seconds = spec.get_int64();
        break;
      default:
        spec.skip();
    }
  });
}

// All kinds have these numbers in common. Others go to `on_field`, which takes them or skips them.
template <class OnField>
void read_workload_spec(std::string_view message, Workload& out, OnField&& on_field) {
  each_field(message, [&](pbf_reader& spec) {
    switch (spec.tag_and_type()) {
      case number_field(1):
        out.replicas = spec.get_int32();
        break;
      case text_field(2):
        out.selector = read_selector(view_of(spec));
        break;
      case text_field(3):
        each_field_of(view_of(spec), text_field(2),
                      [&](pbf_reader& pod) { read_template_spec(view_of(pod), out); });
        break;
      default:
        on_field(spec);
    }
  });
}

void read_deployment_spec(std::string_view message, Deployment& out) {
  read_workload_spec(message, out, [&out](pbf_reader& spec) {
    if (spec.tag_and_type() != number_field(7)) return spec.skip();
    out.paused = spec.get_bool();
  });
}

void read_deployment_status(std::string_view message, Deployment& out) {
  each_field(message, [&](pbf_reader& status) {
    switch (status.tag_and_type()) {
      case number_field(2):
        out.status_replicas = status.get_int32();
        break;
      case number_field(3):
        out.updated_replicas = status.get_int32();
        break;
      case number_field(7):
        out.ready_replicas = status.get_int32();
        break;
      default:
        status.skip();
    }
  });
}

void read_update_strategy(std::string_view message, StatefulSet& out) {
  each_field(message, [&](pbf_reader& strategy) {
    switch (strategy.tag_and_type()) {
      case text_field(1):
        out.rolls = view_of(strategy) != kOnDeleteStrategy;
        break;
      case text_field(2):
        each_field(view_of(strategy), [&](pbf_reader& rolling) {
          switch (rolling.tag_and_type()) {
            case number_field(1):
              out.partition = rolling.get_int32();
              break;
            case text_field(2):
              out.max_unavailable = bounded_text(read_int_or_string(view_of(rolling)));
              break;
            default:
              rolling.skip();
          }
        });
        break;
      default:
        strategy.skip();
    }
  });
}

void read_stateful_set_spec(std::string_view message, StatefulSet& out) {
  read_workload_spec(message, out, [&out](pbf_reader& spec) {
    switch (spec.tag_and_type()) {
      case text_field(6):
        out.ordered = view_of(spec) != kParallelPolicy;
        break;
      case text_field(7):
        read_update_strategy(view_of(spec), out);
        break;
      case number_field(9):
        out.min_ready_seconds = spec.get_int32();
        break;
      case text_field(11):
        each_field_of(view_of(spec), number_field(1),
                      [&out](pbf_reader& ordinals) { out.first_ordinal = ordinals.get_int32(); });
        break;
      default:
        spec.skip();
    }
  });
}

void read_stateful_set_status(std::string_view message, StatefulSet& out) {
  each_field(message, [&](pbf_reader& status) {
    switch (status.tag_and_type()) {
      case number_field(2):
        out.status_replicas = status.get_int32();
        break;
      case number_field(3):
        out.ready_replicas = status.get_int32();
        break;
      case number_field(5):
        out.updated_replicas = status.get_int32();
        break;
      case text_field(7):
        out.update_revision = bounded_text(text_of(status));
        break;
      case number_field(11):
        out.available_replicas = status.get_int32();
        break;
      default:
        status.skip();
    }
  });
}

}  // namespace

std::optional<Deployment> DeploymentCodec::from_protobuf(std::string_view message) {
  return read_object<Deployment>(message, read_plain_metadata<Deployment>, read_deployment_spec,
                                 read_deployment_status);
}

std::optional<StatefulSet> StatefulSetCodec::from_protobuf(std::string_view message) {
  auto out = read_object<StatefulSet>(message, read_plain_metadata<StatefulSet>, read_stateful_set_spec,
                                      read_stateful_set_status);
  if (out) conclude_strategy(*out);
  return out;
}

}  // namespace poolwarden::api
