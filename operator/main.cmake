find_package(CLI11 REQUIRED)
poolwarden_binary(poolwarden
  SOURCES main.cpp
  DEPENDS poolwarden_control poolwarden_gateway poolwarden_commands poolwarden_telemetry CLI11::CLI11 fmt::fmt)
