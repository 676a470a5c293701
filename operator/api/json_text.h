// JSON text by hand, for the one document that is written on the withdrawal path.
#pragma once

#include <string>
#include <string_view>

namespace poolwarden::api {

// Appends `text` as a JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD: the API server
// would refuse the whole write for them.
void append_json_string(std::string& out, std::string_view text);

}  // namespace poolwarden::api
