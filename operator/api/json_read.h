// Reading JSON that someone else wrote: base/json_read.h, under the names that api/ uses.
#pragma once

#include "base/json_read.h"

namespace poolwarden::api {

using base::array_at;
using base::bool_at;
using base::integer_at;
using base::member;
using base::string_at;

}  // namespace poolwarden::api
