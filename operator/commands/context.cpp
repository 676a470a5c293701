#include "commands/context.h"

namespace poolwarden::commands {

int fail(Context& context, const std::string& message) {
  context.console.warn(message);
  return kNotAsAsked;
}

int fail(Context& context, const kube::Error& error) {
  if (error.cls == kube::ErrorClass::kShutdown) {
    context.console.end_progress();
    return kInterrupted;
  }
  return fail(context, error.message);
}

int usage(Context& context, const std::string& message) {
  context.console.warn(message);
  return kUsage;
}

}  // namespace poolwarden::commands
