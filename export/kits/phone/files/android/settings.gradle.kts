pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}

dependencyResolutionManagement {
    repositories {
        google() // LiteRT is published here
        mavenCentral()
    }
}

rootProject.name = "tfvae-sample"
include(":app")
