dependencies { implementation(project(":lib")) }
