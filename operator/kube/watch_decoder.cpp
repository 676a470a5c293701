#include "kube/watch_decoder.h"

#include "base/protobuf_read.h"
#include "kube/retry_after.h"
#include "kube/status.h"

#include <array>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::kube::internal {
namespace {

Error unreadable(std::string message) {
  return Error{ErrorClass::kTerminal, 0, "Unreadable", std::move(message), std::nullopt};
}

enum class Envelope { kWatch, kList, kNone };

// Follows the nesting of an envelope, notes the few fields that are its own, and hands the tokens of each
// object within to the sink. Which container a token is in is all it needs to remember; of those whose
// content nobody wants, only how many are open.
class EnvelopeSax {
 public:
  EnvelopeSax(Envelope envelope, JsonSink& sink) : envelope_(envelope), sink_(sink) {}

  // What was noted; complete only after the whole text was read.
  std::string problem;
  bool has_objects = false;  // "object" or "items" was there
  std::string type;
  std::string resource_version;  // of the list, or of the watched object
  std::string continue_token;
  std::size_t odd_items = 0;  // of a list, that are no objects
  WatchFailure status;

  bool null() {
    return scalar([](EnvelopeSax&) {}, [](JsonSink& sink) { sink.null(); }, true);
  }
  bool boolean(bool value) {
    return scalar([](EnvelopeSax&) {}, [value](JsonSink& sink) { sink.boolean(value); });
  }
  bool number_integer(std::int64_t value) {
    return scalar([value](EnvelopeSax& self) { self.note(value); },
                  [value](JsonSink& sink) { sink.integer(value); });
  }
  bool number_unsigned(std::uint64_t value) {
    if (value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return number_integer(static_cast<std::int64_t>(value));
    }
    return number_float(static_cast<double>(value), {});
  }
  bool number_float(double value, const std::string&) {
    return scalar([](EnvelopeSax&) {}, [value](JsonSink& sink) { sink.real(value); });
  }
  bool string(std::string& value) {
    const bool go_on = scalar([&value](EnvelopeSax& self) { self.note(value); },
                              [&value](JsonSink& sink) { sink.string(value); });
    trim(value);
    return go_on;
  }
  bool binary(std::vector<std::uint8_t>&) { return fail("binary data"); }  // JSON text has none

  bool key(std::string& name);
  bool start_object(std::size_t) { return start(true); }
  bool start_array(std::size_t) { return start(false); }
  bool end_object() { return end(true); }
  bool end_array() { return end(false); }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& error) {
    return fail(error.id == 406 ? fmt::format("a number at byte {} is out of range", position)
                                : fmt::format("not valid JSON at byte {}", position));
  }

 private:
  enum class Where : std::uint8_t {
    kOutside,         // before and after the document
    kTop,             // the envelope
    kListMetadata,    // a list's own metadata
    kItems,           // a list's items
    kIgnored,         // what nobody wants: never on the stack
    kObject,          // an object of ours; from here on tokens go to the sink
    kObjectMetadata,  // its metadata
    kStatusDetails,   // its details: a Status, when the event is an ERROR
    kInner,           // anything else of it
  };
  enum class Field : std::uint8_t {
    kNone,
    kType,
    kObjects,
    kMetadata,
    kResourceVersion,
    kContinue,
    kManagedFields,
    kCode,
    kReason,
    kMessage,
    kDetails,
    kRetryAfter,
  };

  // The text is the parser's own buffer, which grows and never shrinks: after one long annotation, whoever
  // moves a UID out of it would keep kilobytes for 36 characters.
  static void trim(std::string& buffer) {
    if (buffer.capacity() > 128) std::string().swap(buffer);
  }
  static bool is_ours(Where where) { return where >= Where::kObject; }
  Where where() const { return depth_ == 0 ? Where::kOutside : containers_[depth_ - 1]; }
  Field field_of(std::string_view name) const;
  std::optional<Where> enter(bool is_object);
  bool start(bool is_object);
  bool end(bool is_object);
  void note(const std::string& value);
  void note(std::int64_t value);
  template <class Note, class Forward>
  bool scalar(Note note_it, Forward forward, bool is_null = false);
  bool fail(std::string what) {
    problem = std::move(what);
    return false;
  }

  Envelope envelope_;
  JsonSink& sink_;
  std::array<Where, kMaxDepth> containers_{};
  std::size_t depth_ = 0;
  std::size_t ignored_ = 0;     // containers that are open below one nobody wants, itself included
  Field field_ = Field::kNone;  // which field of its container the next value is
};

EnvelopeSax::Field EnvelopeSax::field_of(std::string_view name) const {
  const bool watch = envelope_ == Envelope::kWatch;
  switch (where()) {
    case Where::kTop:
      if (name == (watch ? "object" : "items")) return Field::kObjects;
      if (watch && name == "type") return Field::kType;
      if (!watch && name == "metadata") return Field::kMetadata;
      return Field::kNone;
    case Where::kListMetadata:
      if (name == "resourceVersion") return Field::kResourceVersion;
      if (name == "continue") return Field::kContinue;
      return Field::kNone;
    case Where::kObject:
      if (name == "metadata") return Field::kMetadata;
      // A Status, when the event is an ERROR; other kinds have such fields too, and they are then ignored.
      if (watch && name == "code") return Field::kCode;
      if (watch && name == "reason") return Field::kReason;
      if (watch && name == "message") return Field::kMessage;
      if (watch && name == "details") return Field::kDetails;
      return Field::kNone;
    case Where::kStatusDetails:
      return name == "retryAfterSeconds" ? Field::kRetryAfter : Field::kNone;
    case Where::kObjectMetadata:
      if (name == "managedFields") return Field::kManagedFields;
      if (watch && name == "resourceVersion") return Field::kResourceVersion;
      return Field::kNone;
    default:
      return Field::kNone;
  }
}

bool EnvelopeSax::key(std::string& name) {
  if (ignored_ > 0) {
    trim(name);
    return true;
  }
  field_ = field_of(name);
  if (field_ == Field::kObjects) {
    if (has_objects) return fail(fmt::format("\"{}\" is there twice", name));
    has_objects = true;
  }
  if (is_ours(where()) && field_ != Field::kManagedFields) sink_.key(name);
  trim(name);
  return true;
}

// Where a container that starts now leads; nothing if it must not be there.
std::optional<EnvelopeSax::Where> EnvelopeSax::enter(bool is_object) {
  switch (where()) {
    case Where::kOutside:
      if (is_object) return envelope_ == Envelope::kNone ? Where::kObject : Where::kTop;
      break;
    case Where::kTop:
      if (field_ == Field::kObjects) {
        if (envelope_ == Envelope::kWatch && is_object) return Where::kObject;
        if (envelope_ == Envelope::kList && !is_object) return Where::kItems;
        break;
      }
      return field_ == Field::kMetadata && is_object ? Where::kListMetadata : Where::kIgnored;
    case Where::kItems:
      return is_object ? Where::kObject : Where::kIgnored;
    case Where::kListMetadata:
    case Where::kIgnored:
      return Where::kIgnored;
    case Where::kObject:
      if (field_ == Field::kMetadata && is_object) return Where::kObjectMetadata;
      return field_ == Field::kDetails && is_object ? Where::kStatusDetails : Where::kInner;
    case Where::kObjectMetadata:
      return field_ == Field::kManagedFields ? Where::kIgnored : Where::kInner;
    case Where::kStatusDetails:
    case Where::kInner:
      return Where::kInner;
  }
  return std::nullopt;
}

bool EnvelopeSax::start(bool is_object) {
  if (ignored_ > 0) {
    ++ignored_;
    return true;
  }
  const auto entered = enter(is_object);
  if (!entered)
    return fail(is_object ? "an object where there must be none" : "an array where there must be none");
  if (*entered == Where::kIgnored || depth_ == kMaxDepth) {
    if (where() == Where::kItems) ++odd_items;
    if (*entered != Where::kIgnored) sink_.null();  // too deep for anything that is kept
    ignored_ = 1;
    return true;
  }
  containers_[depth_++] = *entered;
  field_ = Field::kNone;
  if (*entered == Where::kObject) sink_.begin();
  if (is_ours(*entered)) is_object ? sink_.start_object() : sink_.start_array();
  return true;
}

bool EnvelopeSax::end(bool is_object) {
  if (ignored_ > 0) {
    if (--ignored_ == 0) field_ = Field::kNone;
    return true;
  }
  const Where left = where();
  --depth_;
  field_ = Field::kNone;
  if (is_ours(left)) is_object ? sink_.end_object() : sink_.end_array();
  if (left == Where::kObject) sink_.done();
  return true;
}

template <class Note, class Forward>
bool EnvelopeSax::scalar(Note note_it, Forward forward, bool is_null) {
  if (ignored_ > 0) return true;
  switch (where()) {
    case Where::kOutside:
      return fail("not an object");
    case Where::kItems:
      ++odd_items;
      return true;
    case Where::kTop:
      // Go writes an empty list as null now and then. An empty object it never does.
      if (field_ == Field::kObjects && (!is_null || envelope_ != Envelope::kList)) {
        return fail(envelope_ == Envelope::kWatch ? "\"object\" is not an object"
                                                  : "\"items\" is not an array");
      }
      note_it(*this);
      return true;
    case Where::kListMetadata:
      note_it(*this);
      return true;
    case Where::kObject:
    case Where::kObjectMetadata:
    case Where::kStatusDetails:
      if (field_ == Field::kManagedFields) return true;
      if (field_ != Field::kNone) note_it(*this);
      forward(sink_);
      return true;
    case Where::kInner:
      forward(sink_);
      return true;
    case Where::kIgnored:
      return true;
  }
  return true;
}

void EnvelopeSax::note(const std::string& value) {
  switch (field_) {
    case Field::kType:
      type = value;
      break;
    case Field::kResourceVersion:
      resource_version = value;
      break;
    case Field::kContinue:
      continue_token = value;
      break;
    case Field::kReason:
      status.reason = value;
      break;
    case Field::kMessage:
      status.message = value;
      break;
    default:
      break;
  }
}

void EnvelopeSax::note(std::int64_t value) {
  if (field_ == Field::kRetryAfter && value >= 0) {
    status.retry_after = bounded_retry_after(static_cast<std::uint64_t>(value));
  }
  if (field_ == Field::kCode && value > 0 && value < 1000) status.code = static_cast<int>(value);
}

// The parser reports everything through the handler; an exception could only be std::bad_alloc.
bool parse(std::string_view text, EnvelopeSax& sax) {
  return nlohmann::json::sax_parse(text.data(), text.data() + text.size(), &sax);
}

Error unknown_type(std::string_view type) {
  return unreadable(
      fmt::format("a watch event has the type \"{:.40}\"; known are ADDED, MODIFIED, DELETED, "
                  "BOOKMARK and ERROR",
                  type));
}

std::optional<WatchLineType> line_type(std::string_view type) {
  if (type == "ADDED") return WatchLineType::kAdded;
  if (type == "MODIFIED") return WatchLineType::kModified;
  if (type == "DELETED") return WatchLineType::kDeleted;
  if (type == "BOOKMARK") return WatchLineType::kBookmark;
  if (type == "ERROR") return WatchLineType::kError;
  return std::nullopt;
}

}  // namespace

Result<WatchEnvelope> read_watch_line(std::string_view line, JsonSink& object) {
  EnvelopeSax sax(Envelope::kWatch, object);
  if (!parse(line, sax)) return tl::unexpected(unreadable("a watch event cannot be read: " + sax.problem));
  const auto type = line_type(sax.type);
  if (!type) return tl::unexpected(unknown_type(sax.type));
  if (!sax.has_objects) return tl::unexpected(unreadable("a watch event has no object"));
  return WatchEnvelope{*type, std::move(sax.resource_version), std::move(sax.status)};
}

Result<ListEnvelope> read_list(std::string_view body, JsonSink& objects) {
  EnvelopeSax sax(Envelope::kList, objects);
  if (!parse(body, sax)) return tl::unexpected(unreadable("the list cannot be read: " + sax.problem));
  // Taking any other document for an empty list would delete the world.
  if (!sax.has_objects) return tl::unexpected(unreadable("the answer is not a list: it has no items"));
  if (sax.resource_version.empty()) {
    return tl::unexpected(unreadable("the list has no metadata.resourceVersion, so no watch can follow it"));
  }
  return ListEnvelope{std::move(sax.resource_version), std::move(sax.continue_token), sax.odd_items};
}

std::optional<Error> read_object(std::string_view body, JsonSink& object) {
  EnvelopeSax sax(Envelope::kNone, object);
  if (parse(body, sax)) return std::nullopt;
  return unreadable("the object cannot be read: " + sax.problem);
}

Result<WatchFrame> read_watch_frame(std::string_view frame) {
  const auto event = read_watch_message(frame);
  if (!event) return tl::unexpected(event.error());
  const auto type = line_type(event->type);
  if (!type) return tl::unexpected(unknown_type(protobuf::valid_text(event->type.substr(0, 40))));
  WatchFrame out{*type, event->object.message, {}};
  if (*type != WatchLineType::kError || event->object.kind != "Status") return out;
  if (auto status = read_status_message(event->object.message)) {
    out.failure = {status->code, std::move(status->reason), std::move(status->message), {}};
    if (status->retry_after)
      out.failure.retry_after = std::chrono::duration_cast<std::chrono::seconds>(*status->retry_after);
  }
  return out;
}

Result<std::string_view> read_object_message(std::string_view body) {
  const auto envelope = open_envelope(body);
  if (!envelope) return tl::unexpected(unreadable("the object cannot be read: " + envelope.error().message));
  if (envelope->kind == "Status")
    return tl::unexpected(unreadable("the object cannot be read: the answer is a Status"));
  return envelope->message;
}

Error broken(std::string_view what) {
  return unreadable(fmt::format("{} cannot be read: its protobuf is broken", what));
}

Error not_asked_for() {
  return unreadable("the answer is protobuf, of which this kind of object has none");
}

Error nameless(std::string_view where) {
  return unreadable(fmt::format("{} has no metadata.name or no metadata.uid", where));
}

}  // namespace poolwarden::kube::internal
